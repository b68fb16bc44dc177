"""`headrace user`: what an administrator of the machine may do without signing in, because the files are theirs."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, running
from headrace.cli.output import note
from headrace.model.errors import Conflict

app = typer.Typer(help="Accounts, for whoever owns the platform's files.", no_args_is_help=True)


@app.command("reset")
def reset(
    name: Annotated[str, typer.Argument(help="Account whose password was forgotten.")],
    factors: Annotated[
        bool, typer.Option("--factors", help="Forget its authenticator app, passkeys and recovery codes instead.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Give an account a new one-time password, or forget its second factors; the platform must be stopped."""
    if running(home) is not None:
        raise Conflict(
            f"the platform on {home} is running; stop it first, or let an administrator do this in the console"
        )

    async def password() -> str:
        from headrace.platform.offline import open_access
        from headrace.platform.runfile import LOCAL

        async with open_access(home) as access:
            secret: str = await access.reset_password(LOCAL, name)
            return secret

    async def forget() -> None:
        from headrace.platform.offline import open_access
        from headrace.platform.runfile import LOCAL

        async with open_access(home) as access:
            await access.reset_factors(LOCAL, name)

    if factors:
        asyncio.run(forget())
        note(f"{name} signs in with the password alone now, and should add a second factor again at once.")
        return
    secret = asyncio.run(password())
    note(f"{name} must choose a new password after signing in with this one, which works once:")
    typer.echo(secret)
