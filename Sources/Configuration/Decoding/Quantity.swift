/// Numbers with a unit: durations and sizes.
package enum Quantity {
    private static let milliseconds: [(unit: String, factor: Int64)] = [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("y", 31_536_000_000),
    ]

    private static let bytes: [(unit: String, factor: Int64)] = [
        ("B", 1), ("kB", 1000), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
    ]

    /// What other languages call the units.
    private static let aliases: [String: [String]] = [
        "": ["B", "s"], "k": ["KB"], "m": ["MB", "m"], "g": ["GB"], "t": ["TB"], "b": ["B"], "kb": ["KB"],
        "mb": ["MB"], "gb": ["GB"], "tb": ["TB"], "kib": ["KiB"], "mib": ["MiB"], "gib": ["GiB"],
        "tib": ["TiB"],
        "sec": ["s"], "secs": ["s"], "second": ["s"], "seconds": ["s"], "min": ["m"], "mins": ["m"],
        "minute": ["m"],
        "minutes": ["m"], "hr": ["h"], "hour": ["h"], "hours": ["h"], "day": ["d"], "days": ["d"],
        "msec": ["ms"],
        "year": ["y"], "years": ["y"], "s": ["s"], "h": ["h"], "d": ["d"], "y": ["y"], "ms": ["ms"],
    ]

    /// The longest duration, a hundred years: added to any time of a clock it makes another one.
    private static let durationMax: Int64 = 100 * 31_536_000_000

    /// `30s` in milliseconds.
    static func duration(_ text: String) -> Int64? {
        value(text, in: milliseconds).flatMap { $0 <= durationMax ? $0 : nil }
    }

    /// `50MB` in bytes.
    static func size(_ text: String) -> Int64? { value(text, in: bytes) }

    /// A size with the largest unit that says it exactly: `10GB`, `32KiB`, `1500B`.
    package static func text(ofBytes count: Int64) -> String {
        let exact = bytes.filter { count != 0 && count % $0.factor == 0 }
        let unit = exact.max { $0.factor < $1.factor } ?? ("B", 1)
        return "\(count / unit.factor)\(unit.unit)"
    }

    private static func value(_ text: String, in units: [(unit: String, factor: Int64)]) -> Int64? {
        guard let (number, unit) = split(text), let factor = units.first(where: { $0.unit == unit })?.factor
        else {
            return nil
        }
        let (product, isTooLarge) = number.multipliedReportingOverflow(by: factor)
        return isTooLarge ? nil : product
    }

    private static func split(_ text: String) -> (number: Int64, unit: String)? {
        let digits = text.prefix { $0.isASCII && $0.isWholeNumber }
        guard let number = Int64(digits) else { return nil }
        return (number, String(text.dropFirst(digits.count)))
    }

    /// What the author of a wrong duration or size may have meant. Where a unit could be of two types both are offered,
    /// as neither can be told from the other; a missing or a misspelt unit is completed for the type at hand.
    static func suggestions(for text: String, isSize: Bool) -> [String] {
        guard let (number, unit) = split(text), let names = aliases[unit.lowercased()] else { return [] }
        let mine = Set((isSize ? bytes : milliseconds).map(\.unit))
        let isAmbiguous = unit.lowercased() == "m"
        return names.filter { isAmbiguous || mine.contains($0) }.map { "\(number)\($0)" }.filter {
            $0 != text
        }
    }
}
