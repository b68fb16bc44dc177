"""Puts an authority into the store that Chromium looks into on Linux: `python nss_store.py <folder> <ca.pem>`.

By way of libnss3, which Chromium itself brings; what certutil does is the same.
"""

from __future__ import annotations

import ctypes
import ssl
import sys
from pathlib import Path

TRUSTED_CA = 1 << 3 | 1 << 4  # CERTDB_VALID_CA, CERTDB_TRUSTED_CA


class Trust(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint) for name in ("ssl", "email", "object_signing")]


def trust(folder: Path, pem: str) -> None:
    nss, smime = ctypes.CDLL("libnss3.so"), ctypes.CDLL("libsmime3.so")
    pointer = ctypes.c_void_p
    nss.PK11_GetInternalKeySlot.restype = nss.CERT_GetDefaultCertDB.restype = pointer
    smime.CERT_DecodeCertFromPackage.restype = pointer
    smime.CERT_DecodeCertFromPackage.argtypes = [ctypes.c_char_p, ctypes.c_int]
    nss.PK11_InitPin.argtypes = [pointer, ctypes.c_char_p, ctypes.c_char_p]
    nss.PK11_ImportCert.argtypes = [pointer, pointer, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int]
    nss.CERT_ChangeCertTrust.argtypes = [pointer, pointer, ctypes.POINTER(Trust)]
    der = ssl.PEM_cert_to_DER_cert(pem)
    folder.mkdir(parents=True, exist_ok=True)
    check(nss.NSS_InitReadWrite(f"sql:{folder}".encode()), "open the store")
    slot = nss.PK11_GetInternalKeySlot()
    check(nss.PK11_InitPin(slot, None, b""), "set its password")
    certificate = smime.CERT_DecodeCertFromPackage(der, len(der))
    check(nss.PK11_ImportCert(slot, certificate, 0, b"headrace", 0), "import the certificate")
    check(nss.CERT_ChangeCertTrust(nss.CERT_GetDefaultCertDB(), certificate, Trust(TRUSTED_CA, 0, 0)), "trust it")


def check(status: int, what: str) -> None:
    if status:
        raise SystemExit(f"libnss3 could not {what}")


if __name__ == "__main__":
    trust(Path(sys.argv[1]), Path(sys.argv[2]).read_text())
