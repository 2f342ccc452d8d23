"""A small market of our own making, written as each broker writes its master."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

from ray_ingest.instruments.listing import Instruments
from ray_ingest.instruments.masters import read_masters
from ray_ingest.instruments.stored import Master, write_master

DAY = date(2025, 11, 10)
WEEKLY, MONTHLY, NEXT = date(2025, 11, 18), date(2025, 11, 25), date(2025, 12, 30)


@dataclass(frozen=True)
class Cash:
    """A stock."""

    exchange: str
    token: str
    symbol: str
    isin: str
    company: str
    series: str = "EQ"
    tick_size: float = 0.05


@dataclass(frozen=True)
class Index:
    """An index with each broker's way to call it."""

    name: str
    symbol: str
    fyers: str
    dhan: str


@dataclass(frozen=True)
class Derivative:
    """A future (no strike) or an option on NSE."""

    token: str
    underlying: str
    expiry: date
    type: str = "FUT"
    strike: float = 0.0
    weekly: bool = False

    @property
    def fyers(self) -> str:
        """As Fyers writes it."""
        codes = "123456789OND"
        when = (
            f"{codes[self.expiry.month - 1]}{self.expiry:%d}" if self.weekly else f"{self.expiry:%b}".upper()
        )
        return (
            f"{self.underlying}{self.expiry:%y}{when}{f'{self.strike:g}' if self.strike else ''}{self.type}"
        )

    @property
    def dhan(self) -> str:
        """As Dhan writes it."""
        strike = f"{self.strike:g}-" if self.strike else ""
        return f"{self.underlying}-{self.expiry:%b%Y}-{strike}{self.type}"


STOCKS = [
    Cash("NSE", "101", "ALFA", "INE000A01011", "ALFA WORKS LTD"),
    Cash("NSE", "102", "BETA-AUTO", "INE000B01019", "BETA AUTO LTD", tick_size=0.1),
    Cash("NSE", "103", "GAMMA", "INE000C01017", "GAMMA MILLS LTD", series="BE"),
    Cash("BSE", "500101", "ALFA", "INE000A01011", "ALFA WORKS LTD", series="A"),
]
INDICES = [
    Index("Nifty 50", "NIFTY", "NSE:NIFTY50-INDEX", "13"),
    Index("Nifty Bank", "BANKNIFTY", "NSE:NIFTYBANK-INDEX", "25"),
    Index("India VIX", "INDIA VIX", "NSE:INDIAVIX-INDEX", "21"),
]


def _chain(first: int, underlying: str, expiry: date, *, weekly: bool = False) -> list[Derivative]:
    """Calls and puts at 11 strikes around 25,000, their tokens counted from `first`."""
    sides = [(strike, side) for strike in range(24_500, 25_501, 100) for side in ("CE", "PE")]
    return [
        Derivative(str(first + i), underlying, expiry, side, float(strike), weekly)
        for i, (strike, side) in enumerate(sides)
    ]


DERIVATIVES = [
    *_chain(40_000, "NIFTY", WEEKLY, weekly=True),
    *_chain(41_000, "NIFTY", MONTHLY),
    *_chain(42_000, "NIFTY", NEXT),
    *_chain(43_000, "BANKNIFTY", MONTHLY),
    Derivative("50001", "NIFTY", MONTHLY),
    Derivative("50002", "NIFTY", NEXT),
    Derivative("50003", "BANKNIFTY", MONTHLY),
    Derivative("50004", "ALFA", MONTHLY),
    Derivative("50005", "BETA-AUTO", MONTHLY),
]


def _epoch_s(day: date, hour: int) -> int:
    return int(datetime.combine(day, time(hour), UTC).timestamp())


def upstox(derivatives: list[Derivative] = DERIVATIVES, cash: list[Cash] = STOCKS) -> bytes:
    """complete.json: prices of ticks in paise, expiry in epoch ms at the end of its day in India."""
    rows: list[dict[str, object]] = [
        {
            "segment": f"{one.exchange}_EQ", "name": one.company, "exchange": one.exchange, "isin": one.isin,
            "instrument_type": one.series, "instrument_key": f"{one.exchange}_EQ|{one.isin}", "lot_size": 1,
            "exchange_token": one.token, "tick_size": one.tick_size * 100, "trading_symbol": one.symbol,
        }
        for one in cash
    ]  # fmt: skip
    rows += [
        {
            "segment": "NSE_INDEX", "name": one.name, "exchange": "NSE", "instrument_type": "INDEX",
            "instrument_key": f"NSE_INDEX|{one.name}", "exchange_token": "26000",
            "trading_symbol": one.symbol,
        }
        for one in INDICES
    ]  # fmt: skip
    rows += [
        {
            "weekly": one.weekly, "segment": "NSE_FO", "name": one.underlying, "exchange": "NSE",
            "expiry": _epoch_s(one.expiry, 18) * 1000 + 1_799_000, "instrument_type": one.type,
            "underlying_symbol": one.underlying, "instrument_key": f"NSE_FO|{one.token}", "lot_size": 75,
            "exchange_token": one.token, "tick_size": 5.0, "strike_price": one.strike,
            "trading_symbol": f"{one.underlying} {one.strike:g} {one.type}",
        }
        for one in derivatives
    ]  # fmt: skip
    return json.dumps(rows).encode()


def fyers_cm() -> bytes:
    """NSE_CM.csv and BSE_CM.csv in one."""
    lines = [
        f"10{one.token},{one.company},0,1,{one.tick_size},{one.isin},0915-1530|1815-1915:,2025-11-10,,"
        f"{one.exchange}:{one.symbol}-{one.series},{10 if one.exchange == 'NSE' else 12},10,{one.token},"
        f"{one.symbol},{one.token},-1.0,XX,10{one.token},None,0,0.0"
        for one in STOCKS
    ]
    lines += [
        f"1010{i},{one.name},10,0,0.05,,0915-1530|1815-1915:,2025-11-10,,{one.fyers},10,10,2600{i},"
        f"{one.symbol},2600{i},-1.0,XX,1010{i},None,0,0.0"
        for i, one in enumerate(INDICES)
    ]
    return "\n".join([*lines, ""]).encode()


def fyers_fo(derivatives: list[Derivative] = DERIVATIVES) -> bytes:
    """NSE_FO.csv: expiry in epoch seconds at 15:30 in India."""
    lines = [
        f"1011{one.token},{one.underlying},14,75,0.05,,0915-1530|1815-1915:,2025-11-10,"
        f"{_epoch_s(one.expiry, 10)},NSE:{one.fyers},10,11,{one.token},{one.underlying},26000,"
        f"{one.strike or -1.0},{one.type if one.strike else 'XX'},101000000026000,None,0,0.0"
        for one in derivatives
    ]
    return "\n".join([*lines, ""]).encode()


def dhan_compact(derivatives: list[Derivative] = DERIVATIVES) -> bytes:
    """api-scrip-master.csv: ticks in paise, of indices in rupees."""
    lines = [
        "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,SEM_TRADING_SYMBOL,"
        "SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,SEM_OPTION_TYPE,SEM_TICK_SIZE,"
        "SEM_EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,SM_SYMBOL_NAME"
    ]
    lines += [
        f"{one.exchange},E,{one.token},EQUITY,0,{one.symbol},1,{one.company},,,,{one.tick_size * 100:g},NA,"
        f"ES,{one.series},{one.company}"
        for one in STOCKS
    ]
    lines += [
        f"NSE,I,{one.dhan},INDEX,0,{one.symbol},1,{one.name},0001-01-01,,XX,0.05,,INDEX,X,{one.symbol}"
        for one in INDICES
    ]
    lines += [
        f"NSE,D,{one.token},{'OPTIDX' if one.strike else 'FUTIDX'},0,{one.dhan},75.0,{one.dhan},"
        f"{one.expiry} 14:30:00,{one.strike or -0.01:.5f},{one.type if one.strike else 'XX'},5.0000,"
        f"{'W' if one.weekly else 'M'},OP,NA,{one.underlying}"
        for one in derivatives
    ]
    return "\n".join([*lines, ""]).encode()


def dhan_detailed(derivatives: list[Derivative] = DERIVATIVES) -> bytes:
    """api-scrip-master-detailed.csv."""
    lines = [
        "EXCH_ID,SEGMENT,SECURITY_ID,ISIN,INSTRUMENT,UNDERLYING_SECURITY_ID,UNDERLYING_SYMBOL,SYMBOL_NAME,"
        "DISPLAY_NAME,INSTRUMENT_TYPE,SERIES,LOT_SIZE,SM_EXPIRY_DATE,STRIKE_PRICE,OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG"
    ]
    lines += [
        f"{one.exchange},E,{one.token},{one.isin},EQUITY,,{one.symbol},{one.company},{one.company},ES,{one.series},"
        f"1,,,,{one.tick_size * 100:g},NA"
        for one in STOCKS
    ]
    lines += [
        f"NSE,I,{one.dhan},NA,INDEX,{one.dhan},{one.symbol},{one.symbol},{one.name},INDEX,NA,1,0001-01-01,,XX,0.05,N"
        for one in INDICES
    ]
    lines += [
        f"NSE,D,{one.token},NA,{'OPTIDX' if one.strike else 'FUTIDX'},26000,{one.underlying},{one.dhan},"
        f"{one.dhan},OP,NA,75,{one.expiry},{one.strike or -0.01:.5f},{one.type if one.strike else 'XX'},5,"
        f"{'W' if one.weekly else 'M'}"
        for one in derivatives
    ]
    return "\n".join([*lines, ""]).encode()


def dhan_extract(derivatives: list[Derivative] = DERIVATIVES) -> bytes:
    """The columns as Dhan's API names them: no tick size, lot, ISIN or series."""
    lines = [
        "exchangeSegment,securityId,instrument,tradingSymbol,customSymbol,expiryDate,strikePrice,optionType"
    ]
    lines += [f"{one.exchange}_EQ,{one.token},EQUITY,{one.symbol},{one.company},,," for one in STOCKS]
    lines += [f"IDX_I,{one.dhan},INDEX,{one.symbol},{one.name},,7," for one in INDICES]
    lines += [
        f"NSE_FNO,{one.token},{'OPTIDX' if one.strike else 'FUTIDX'},{one.dhan},{one.dhan},"
        f"{one.expiry:%d-%m-%Y} 14:30,{one.strike or -0.01:g},{one.type if one.strike else 'XX'}"
        for one in derivatives
    ]
    return "\n".join([*lines, ""]).encode()


def stored(folder: Path, texts: dict[str, bytes], day: date = DAY) -> dict[str, Master]:
    """The masters of these files (name → content), stored below the folder as of `day`."""
    files = []
    for name, text in texts.items():
        files.append(folder / name)
        files[-1].write_bytes(text)
    return {
        broker: Master(day, write_master(folder, day, broker, master))
        for broker, master in read_masters(files).items()
    }


def instruments(folder: Path) -> Instruments:
    """All three brokers' masters of DAY."""
    texts = {
        "u.json": upstox(), "cm.csv": fyers_cm(), "fo.csv": fyers_fo(), "d.csv": dhan_detailed(),
    }  # fmt: skip
    return Instruments(stored(folder, texts))
