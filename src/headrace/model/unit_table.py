"""The common units, as a data sheet: dimension in SI base units, then each code and its factor to them.

`test_units.py` holds every line against the library. Temperatures have an offset as well: `units.py`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

_SHEET: Final = """
(none): 1=1 %=0.01 [ppth]=0.001 [ppm]=1e-6 [ppb]=1e-9
m: m=1 mm=0.001 um=1e-6 nm=1e-9 cm=0.01 km=1000 [in_i]=0.0254 [ft_i]=0.3048
m2: m2=1 mm2=1e-6 cm2=0.0001
m3: m3=1 dm3=0.001 cm3=1e-6 L=0.001 l=0.001 mL=1e-6 ml=1e-6 [gal_us]=0.003785411784
s: s=1 ms=0.001 us=1e-6 ns=1e-9 min=60 h=3600 d=86400 wk=604800
s-1: Hz=1 kHz=1000 MHz=1e6 GHz=1e9 /s=1 /min=1/60 /h=1/3600 /d=1/86400 1/s=1 1/min=1/60 1/h=1/3600 Bq=1
m s-1: m/s=1 mm/s=0.001 m/min=1/60 m/h=1/3600 km/h=1000/3600 mm/min=0.001/60 um/s=1e-6
m s-2: m/s2=1 mm/s2=0.001
kg: kg=1 g=0.001 mg=1e-6 t=1000 [lb_av]=0.45359237
kg s-1: kg/s=1 kg/min=1/60 kg/h=1/3600 g/s=0.001 g/min=0.001/60 t/h=1000/3600 t/d=1000/86400
m3 s-1: m3/s=1 m3/min=1/60 m3/h=1/3600 m3/d=1/86400 L/s=0.001 L/min=0.001/60 L/h=0.001/3600 l/s=0.001
    l/min=0.001/60 l/h=0.001/3600 mL/min=1e-6/60 [gal_us]/min=0.003785411784/60
kg m-3: kg/m3=1 g/cm3=1000 g/L=1 mg/L=0.001 g/m3=0.001 mg/m3=1e-6 ug/m3=1e-9
kg m s-2: N=1 mN=0.001 kN=1000 MN=1e6
kg m2 s-2: J=1 kJ=1000 MJ=1e6 GJ=1e9 N.m=1 kN.m=1000 cal=4.184 kcal=4184 W.h=3600 kW.h=3.6e6 MW.h=3.6e9
    GW.h=3.6e12
kg m-1 s-2: Pa=1 hPa=100 kPa=1000 MPa=1e6 GPa=1e9 N/mm2=1e6 bar=100000 mbar=100 atm=101325
    [psi]=6894.757293168361 mm[Hg]=133.322387415 m[H2O]=9806.65 kW.h/m3=3.6e6
K: K=1 Cel=1 [degF]=5/9
s-1 K: K/s=1 K/min=1/60 K/h=1/3600
kg m2 s-3: W=1 mW=0.001 kW=1000 MW=1e6 GW=1e9 V.A=1 kV.A=1000 MV.A=1e6
kg m2 s-3 A-1: V=1 uV=1e-6 mV=0.001 kV=1000
A: A=1 uA=1e-6 mA=0.001 kA=1000
kg m2 s-3 A-2: Ohm=1 mOhm=0.001 kOhm=1000 MOhm=1e6
kg-1 m-2 s3 A2: S=1 mS=0.001 uS=1e-6
kg-1 m-3 s3 A2: S/m=1 mS/cm=0.1 uS/cm=0.0001
kg-1 m-2 s4 A2: F=1 uF=1e-6 nF=1e-9 pF=1e-12
kg m2 s-2 A-2: H=1 mH=0.001 uH=1e-6
s A: C=1 A.h=3600
kg s-2 A-1: T=1 mT=0.001
rad: rad=1 mrad=0.001 deg=0.017453292519943295
s-1 rad: rad/s=1 deg/s=0.017453292519943295
cd: cd=1
cd rad2: lm=1
m-2 cd rad2: lx=1
mol: mol=1 mmol=0.001
m-3 mol: mol/L=1000 mmol/L=1
kg m-1 s-1: Pa.s=1 mPa.s=0.001 cP=0.001
m2 s-1: m2/s=1 mm2/s=1e-6
m2 s-2: J/kg=1 kJ/kg=1000 kW.h/t=3600 kW.h/kg=3.6e6
m2 s-2 K-1: kJ/(kg.K)=1000
m-2 s2: kg/(kW.h)=0.001/3600 g/(kW.h)=1e-6/3600
kg s-3: W/m2=1 kW/m2=1000
kg s-3 K-1: W/(m2.K)=1
kg m s-3 K-1: W/(m.K)=1
bit: bit=1 By=8 kBy=8000 MBy=8e6
[pH]: [pH]=1
"""

_MEANT: Final = """
-→1 °C→Cel ℃→Cel degC→Cel celsius→Cel °F→[degF] ℉→[degF] degF→[degF] °→deg psi→[psi] PSI→[psi] ppm→[ppm]
ppb→[ppb] pH→[pH] rpm→/min RPM→/min r/min→/min cpm→/min sec→s hr→h hour→h day→d kWh→kW.h
MWh→MW.h Wh→W.h GWh→GW.h kVA→kV.A VA→V.A MVA→MV.A Ah→A.h Nm→N.m kNm→kN.m m³→m3 m²→m2 m³/h→m3/h kvar→kV.A var→V.A
ohm→Ohm Ω→Ohm kΩ→kOhm µm→um μm→um in→[in_i] inch→[in_i] ft→[ft_i] lb→[lb_av] lbs→[lb_av] gal→[gal_us]
inHg→[in_i'Hg] mmHg→mm[Hg] mmH2O→mm[H2O] mH2O→m[H2O] Cel/min→K/min Cel/s→K/s Cel/h→K/h °C/min→K/min m/s²→m/s2
mm/s²→mm/s2 mPas→mPa.s Pas→Pa.s GPM→[gal_us]/min gpm→[gal_us]/min lpm→L/min tons→t percent→% byte→By Byte→By
kmh→km/h kph→km/h cSt→mm2/s µS/cm→uS/cm μS/cm→uS/cm L/m→L/min atu→bar barg→bar
"""

_SHOWN: Final = """
Cel→°C [degF]→°F deg→° Ohm→Ω By→B [psi]→psi [pH]→pH [ppm]→ppm [ppb]→ppb [ppth]→‰ [in_i]→in [ft_i]→ft
[lb_av]→lb [gal_us]→gal [Hg]→Hg [H2O]→H₂O '→′ ''→″
"""

_BASE: Final = """
kilogram→kg meter→m second→s ampere→A kelvin→K mole→mol candela→cd radian→rad bit→bit count→
"""

OFFSETS: Final = {"Cel": 273.15, "[degF]": 459.67 * 5 / 9}
"""What is added to `value * factor` to give kelvin."""


def read_sheet() -> dict[str, tuple[str, float]]:
    """Code to (dimension, factor)."""
    table: dict[str, tuple[str, float]] = {}
    for line in _SHEET.replace("\n    ", " ").strip().splitlines():
        dimension, _, codes = line.partition(": ")
        for entry in codes.split():
            code, _, factor = entry.rpartition("=")
            table[code] = ("" if dimension == "(none)" else dimension, _factor(factor))
    return table


def read_meant() -> dict[str, str]:
    """What people write, and the UCUM code for it."""
    return {"": "1", **_pairs(_MEANT)}


def read_shown() -> dict[str, str]:
    """A part of a code, and how people read it."""
    return _pairs(_SHOWN)


def read_base() -> dict[str, str]:
    """The library's names of base units, and ours."""
    return _pairs(_BASE)


def _factor(text: str) -> float:
    """`100`, or `1/60` rounded once."""
    top, _, bottom = text.partition("/")
    return float(Fraction(top) / Fraction(bottom or "1"))


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for entry in text.split():
        left, _, right = entry.partition("→")
        pairs[left] = right
    return pairs
