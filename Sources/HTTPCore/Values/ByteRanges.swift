internal import ChimeraBytes

/// What a `Range` field asks of a representation of known length (RFC 9110 §14).
package enum ByteRanges: Equatable, Sendable {
    /// Answer as if the field were not there: another unit, malformed, too many ranges, or a suffix of
    /// nothing.
    case ignored
    /// Every range begins beyond the end: 416, with `Content-Range: bytes */length`.
    case unsatisfiable
    /// One range is left: 206 with `Content-Range`.
    case single(Range<UInt64>)
    /// Two or more ranges that neither overlap nor touch, in the order of the request: 206 with
    /// `multipart/byteranges`.
    case several([Range<UInt64>])

    /// How many ranges a request may name before its `Range` is ignored (RFC 9110 §14.2 allows that).
    package static let countMax = 16

    /// - Parameters:
    ///   - value: the field's value, trimmed.
    ///   - length: of the selected representation, in octets.
    ///   - countMax: how many ranges are read.
    package init(_ value: Span<UInt8>, length: UInt64, countMax: Int = ByteRanges.countMax) {
        self = Self.parse(value, length, countMax) ?? .ignored
    }

    /// - Returns: nil where the field is to be ignored.
    private static func parse(_ value: Span<UInt8>, _ length: UInt64, _ countMax: Int) -> ByteRanges? {
        guard value.startsIgnoringCase(with: "bytes=") else { return nil }
        let set = value.extracting(6..<value.count)
        var elements = ListElements(set)
        var only: Range<UInt64>?
        var all: [Range<UInt64>] = []
        var count = 0
        while let element = elements.next() {
            count += 1
            guard count <= countMax, let spec = RangeSpec(set.extracting(element)) else { return nil }
            if case .suffix(let suffix) = spec, suffix > 0, length == 0 { return nil }
            guard let range = spec.range(in: length) else { continue }
            // One range, the usual case, needs no array.
            guard let first = only else {
                only = range
                continue
            }
            if all.isEmpty { all.append(first) }
            coalesce(range, into: &all)
        }
        guard count > 0 else { return nil }
        guard let only else { return .unsatisfiable }
        return all.count > 1 ? .several(all) : .single(all.first ?? only)
    }

    /// RFC 9110 §15.3.7.2: ranges that overlap or touch become one, in the place of the earliest named.
    private static func coalesce(_ range: Range<UInt64>, into ranges: inout [Range<UInt64>]) {
        var joined = range
        var place: Int?
        var index = 0
        // A range that grew may reach another, so the search begins again; there are `countMax` at most.
        while index < ranges.count {
            let other = ranges[index]
            guard other.lowerBound <= joined.upperBound, joined.lowerBound <= other.upperBound else {
                index += 1
                continue
            }
            joined = min(other.lowerBound, joined.lowerBound)..<max(other.upperBound, joined.upperBound)
            ranges.remove(at: index)
            place = min(place ?? index, index)
            index = 0
        }
        ranges.insert(joined, at: place ?? ranges.count)
    }
}

/// RFC 9110 §14.1.1: one range-spec of the unit `bytes`.
private enum RangeSpec {
    case from(UInt64, through: UInt64)
    case suffix(UInt64)

    init?(_ text: Span<UInt8>) {
        guard let dash = text.firstIndex(of: UInt8(ascii: "-")) else { return nil }
        let left = text.extracting(0..<dash)
        let right = text.extracting((dash + 1)..<text.count)
        if left.isEmpty {
            guard let length = Self.position(right) else { return nil }
            self = .suffix(length)
        } else {
            guard let first = Self.position(left), let last = right.isEmpty ? .max : Self.position(right),
                first <= last
            else { return nil }
            self = .from(first, through: last)
        }
    }

    /// A number too great to be held is beyond the end of any representation.
    private static func position(_ digits: Span<UInt8>) -> UInt64? {
        if let value = UInt64(decimal: digits) { return value }
        for index in 0..<digits.count where !digits[index].isDigit { return nil }
        return digits.isEmpty ? nil : .max
    }

    /// - Returns: nil where the range is not satisfiable.
    func range(in length: UInt64) -> Range<UInt64>? {
        switch self {
        case .from(let first, let last): first < length ? first..<(min(last, length - 1) + 1) : nil
        case .suffix(let count): count > 0 && length > 0 ? (length - min(count, length))..<length : nil
        }
    }
}

extension OutputSpan where Element == UInt8 {
    /// Appends the value of `Content-Range` for `range` of a representation of `length` octets
    /// (RFC 9110 §14.4), or a part of it where it does not fit; 70 octets always do.
    ///
    /// - Parameter range: not empty; nil writes the form for 416, `bytes */1234`.
    /// - Returns: whether all of it was appended.
    @discardableResult
    @_lifetime(self: copy self)
    package mutating func append(contentRange range: Range<UInt64>?, of length: UInt64) -> Bool {
        guard append(text: "bytes ") else { return false }
        if let range, !range.isEmpty {
            guard append(decimal: range.lowerBound), append(text: "-"), append(decimal: range.upperBound - 1)
            else { return false }
        } else {
            guard append(text: "*") else { return false }
        }
        return append(text: "/") && append(decimal: length)
    }
}
