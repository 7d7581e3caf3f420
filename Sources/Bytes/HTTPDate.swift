/// Dates as HTTP writes them (RFC 9110 §5.6.7), to and from seconds since 1970 without leap seconds.
///
/// There is no clock and no C library here: the calendar is arithmetic on days.
package enum HTTPDate {
    /// How many octets an IMF-fixdate has, always.
    package static let length = 29

    /// The seconds that a date of four year digits can name: 0000-01-01T00:00:00 … 9999-12-31T23:59:59.
    package static let representable: ClosedRange<Int64> = -62_167_219_200...253_402_300_799

    /// `Sun, 06 Nov 1994 08:49:37 GMT` for 784111777.
    ///
    /// A time outside ``representable`` is moved to its nearer end.
    package static func format(_ seconds: Int64) -> InlineArray<29, UInt8> {
        let time = min(max(seconds, representable.lowerBound), representable.upperBound)
        let day = floorDivide(time, 86_400)
        let clock = Int(time - day * 86_400)
        let date = CivilDate(daysSince1970: day)
        var text = InlineArray<29, UInt8>(repeating: 0x20)
        put(weekdays, Int(floorModulo(day + 4, 7)), into: &text, at: 0)
        text[3] = UInt8(ascii: ",")
        put(date.day, into: &text, at: 5)
        put(months, date.month - 1, into: &text, at: 8)
        put(date.year / 100, into: &text, at: 12)
        put(date.year % 100, into: &text, at: 14)
        put(clock / 3600, into: &text, at: 17)
        text[19] = UInt8(ascii: ":")
        put(clock / 60 % 60, into: &text, at: 20)
        text[22] = UInt8(ascii: ":")
        put(clock % 60, into: &text, at: 23)
        put(zone, 0, into: &text, at: 26)
        return text
    }

    private static let weekdays: StaticString = "SunMonTueWedThuFriSat"
    private static let months: StaticString = "JanFebMarAprMayJunJulAugSepOctNovDec"
    private static let zone: StaticString = "GMT"

    private static func put(_ number: Int, into text: inout InlineArray<29, UInt8>, at index: Int) {
        text[index] = UInt8(truncatingIfNeeded: number / 10) &+ 0x30
        text[index + 1] = UInt8(truncatingIfNeeded: number % 10) &+ 0x30
    }

    private static func put(
        _ names: StaticString, _ item: Int, into text: inout InlineArray<29, UInt8>, at index: Int
    ) {
        // Sound: the literals above hold three octets for each item, and callers pass items they have.
        for offset in 0..<3 { text[index + offset] = names.utf8Start[item * 3 + offset] }
    }
}

/// A day of the proleptic Gregorian calendar.
struct CivilDate: Equatable {
    var year: Int
    /// 1 … 12.
    var month: Int
    /// 1 … 31.
    var day: Int

    init(year: Int, month: Int, day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// Counts in years that begin in March, so that the leap day is a year's last, and in eras of 400 years.
    init(daysSince1970 days: Int64) {
        let shifted = days + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = Int(shifted - era * 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        year = yearOfEra + Int(era) * 400 + (month <= 2 ? 1 : 0)
    }

    /// Days since 1970-01-01, or nil where the calendar has no such day.
    var daysSince1970: Int64? {
        guard (1...12).contains(month), day >= 1, day <= daysInMonth else { return nil }
        let marchYear = Int64(month <= 2 ? year - 1 : year)
        let era = floorDivide(marchYear, 400)
        let yearOfEra = marchYear - era * 400
        let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    private var daysInMonth: Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    value >= 0 ? value / divisor : -((divisor - 1 - value) / divisor)
}

private func floorModulo(_ value: Int64, _ divisor: Int64) -> Int64 {
    value - floorDivide(value, divisor) * divisor
}
