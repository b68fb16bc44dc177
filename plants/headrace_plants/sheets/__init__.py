"""The data sheets of the works: one table a machine type. Model, servers and declaration are all made from them.

words.py   what a row says         press.py  moulder.py  assembly.py  utilities.py   the tables
"""

from headrace_plants.sheets.assembly import ASSEMBLY_STATION
from headrace_plants.sheets.moulder import MOULDER
from headrace_plants.sheets.press import PRESS
from headrace_plants.sheets.utilities import CHILLER, COMPRESSOR, METER, SHIFT
from headrace_plants.sheets.words import AlarmRow, Care, Reason, Row, Sheet

SHEETS: tuple[Sheet, ...] = (PRESS, METER, MOULDER, ASSEMBLY_STATION, COMPRESSOR, CHILLER, SHIFT)

__all__ = ["AlarmRow", "Care", "Reason", "Row", "SHEETS", "Sheet"]
