extension HTTPDate {
    /// Reads a date in any of the three forms of RFC 9110 §5.6.7, which are told apart by their first comma.
    ///
    /// Names are case-sensitive, as the RFC has it; the name of the day must be one, but need not be the
    /// right one. The leap second `:60` is the second after `:59`.
    ///
    /// - Parameter now: seconds since 1970; decides the century of the RFC 850 form's two year digits.
    /// - Returns: seconds since 1970, or nil for what is no date.
    package static func parse(_ text: Span<UInt8>, now: Int64) -> Int64? {
        if text.count == length { return fixdate(text) }
        guard let comma = text.firstIndex(of: UInt8(ascii: ",")) else { return asctime(text) }
        return rfc850(text, comma: comma, now: now)
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    private static func fixdate(_ text: Span<UInt8>) -> Int64? {
        guard isWeekday(text.extracting(0..<3)), text.has(",", at: 3), text.has(" ", at: 4),
            let day = text.number(5..<7), text.has(" ", at: 7), let month = month(text.extracting(8..<11)),
            text.has(" ", at: 11), let year = text.number(12..<16), text.has(" ", at: 16),
            let clock = clock(text.extracting(17..<25)), text.extracting(25..<29).equals(" GMT")
        else { return nil }
        return seconds(CivilDate(year: year, month: month, day: day), clock)
    }

    /// `Sunday, 06-Nov-94 08:49:37 GMT`
    private static func rfc850(_ text: Span<UInt8>, comma: Int, now: Int64) -> Int64? {
        let rest = text.extracting((comma + 1)..<text.count)
        guard isLongWeekday(text.extracting(0..<comma)), rest.count == 23, rest.has(" ", at: 0),
            let day = rest.number(1..<3), rest.has("-", at: 3), let month = month(rest.extracting(4..<7)),
            rest.has("-", at: 7), let twoDigits = rest.number(8..<10), rest.has(" ", at: 10),
            let clock = clock(rest.extracting(11..<19)), rest.extracting(19..<23).equals(" GMT")
        else { return nil }
        // RFC 9110 §5.6.7: what appears to be more than fifty years ahead is the past year of the same
        // digits.
        let latest = min(CivilDate(daysSince1970: floorDivide(clamped(now), 86_400)).year + 50, 9999)
        let year = latest - ((latest - twoDigits) % 100 + 100) % 100
        return seconds(CivilDate(year: year, month: month, day: day), clock)
    }

    /// `Sun Nov  6 08:49:37 1994`
    private static func asctime(_ text: Span<UInt8>) -> Int64? {
        guard text.count == 24, isWeekday(text.extracting(0..<3)), text.has(" ", at: 3),
            let month = month(text.extracting(4..<7)), text.has(" ", at: 7),
            let day = text.number((text.has(" ", at: 8) ? 9 : 8)..<10), text.has(" ", at: 10),
            let clock = clock(text.extracting(11..<19)), text.has(" ", at: 19),
            let year = text.number(20..<24)
        else { return nil }
        return seconds(CivilDate(year: year, month: month, day: day), clock)
    }

    /// `08:49:37` in seconds.
    private static func clock(_ text: Span<UInt8>) -> Int64? {
        guard let hour = text.number(0..<2), text.has(":", at: 2), let minute = text.number(3..<5),
            text.has(":", at: 5), let second = text.number(6..<8), hour < 24, minute < 60, second <= 60
        else { return nil }
        return Int64(hour * 3600 + minute * 60 + second)
    }

    private static func seconds(_ date: CivilDate, _ clock: Int64) -> Int64? {
        guard let days = date.daysSince1970 else { return nil }
        return days * 86_400 + clock
    }

    private static func clamped(_ now: Int64) -> Int64 {
        min(max(now, representable.lowerBound), representable.upperBound)
    }

    private static func isWeekday(_ name: Span<UInt8>) -> Bool {
        name.equals("Sun") || name.equals("Mon") || name.equals("Tue") || name.equals("Wed")
            || name.equals("Thu") || name.equals("Fri") || name.equals("Sat")
    }

    private static func isLongWeekday(_ name: Span<UInt8>) -> Bool {
        name.equals("Sunday") || name.equals("Monday") || name.equals("Tuesday") || name.equals("Wednesday")
            || name.equals("Thursday") || name.equals("Friday") || name.equals("Saturday")
    }

    /// 1 … 12.
    private static func month(_ name: Span<UInt8>) -> Int? {
        let key = Int(name[0]) << 16 | Int(name[1]) << 8 | Int(name[2])
        return switch key {
        case 0x4A616E: 1
        case 0x466562: 2
        case 0x4D6172: 3
        case 0x417072: 4
        case 0x4D6179: 5
        case 0x4A756E: 6
        case 0x4A756C: 7
        case 0x417567: 8
        case 0x536570: 9
        case 0x4F6374: 10
        case 0x4E6F76: 11
        case 0x446563: 12
        default: nil
        }
    }
}

extension Span where Element == UInt8 {
    /// Callers have checked the length.
    fileprivate func has(_ character: Unicode.Scalar, at index: Int) -> Bool {
        self[index] == UInt8(ascii: character)
    }

    fileprivate func number(_ range: Range<Int>) -> Int? {
        Int(decimal: extracting(range))
    }
}
