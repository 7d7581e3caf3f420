/// Writes one line where it will stay: in the worker's own buffer.
///
/// It checks no bound, since its maker has reserved room for the longest line that the record can become
/// (`worstCaseBytes`): one check for each record and not one for each byte.
struct LineWriter {
    /// Where the next byte goes.
    private(set) var cursor: UnsafeMutablePointer<UInt8>

    /// How many bytes one byte of a text can become: `\u001b`, or the replacement character, or an ellipsis.
    static let expansionMax = 6

    /// - Parameter start: The first of as many bytes as will be put.
    @inline(__always)
    init(at start: UnsafeMutablePointer<UInt8>) { cursor = start }

    /// What `body` writes of a text of so many bytes, as an array; not for the hot path.
    static func bytes(forTextOf count: Int, _ body: (inout LineWriter) -> Void) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count * expansionMax + 16) { buffer, used in
            guard let base = buffer.baseAddress else { return }
            var line = LineWriter(at: base)
            body(&line)
            used = line.cursor - base
        }
    }

    @inline(__always)
    mutating func put(_ text: StaticString) {
        cursor.update(from: text.utf8Start, count: text.utf8CodeUnitCount)
        cursor += text.utf8CodeUnitCount
    }

    @inline(__always)
    mutating func put(byte: UInt8) {
        cursor.pointee = byte
        cursor += 1
    }

    /// Bytes that need no escaping any more.
    @inline(__always)
    mutating func put(ready bytes: [UInt8]) {
        bytes.withUnsafeBufferPointer { source in
            guard let base = source.baseAddress else { return }
            cursor.update(from: base, count: source.count)
            cursor += source.count
        }
    }

    /// A number in base ten; a negative one is written as 0.
    @inline(__always)
    mutating func put(decimal value: Int64) {
        if value < 10 {
            put(byte: UInt8(truncatingIfNeeded: 0x30 + max(0, value)))
        } else {
            put(digitsOf: UInt64(value))
        }
    }

    private mutating func put(digitsOf value: UInt64) {
        var count = 2
        var bound: UInt64 = 100
        while count < 19 && value >= bound {
            count &+= 1
            bound &*= 10
        }
        var rest = value
        var place = count
        while place > 0 {
            place &-= 1
            let tenth = rest / 10
            cursor[place] = UInt8(truncatingIfNeeded: 0x30 &+ rest &- tenth &* 10)
            rest = tenth
        }
        cursor += count
    }

    /// Three digits: milliseconds of a second.
    @inline(__always)
    mutating func put(milliseconds value: Int64) {
        cursor[0] = UInt8(truncatingIfNeeded: 0x30 + value / 100 % 10)
        cursor[1] = UInt8(truncatingIfNeeded: 0x30 + value / 10 % 10)
        cursor[2] = UInt8(truncatingIfNeeded: 0x30 + value % 10)
        cursor += 3
    }

    /// Sixteen hexadecimal digits, eight at a time: each half of the number is spread to one nibble a byte,
    /// and then a multiple of 0x27 lifts those above nine to the letters.
    mutating func put(hexadecimal value: UInt64) {
        put(eightDigitsOf: UInt32(truncatingIfNeeded: value >> 32))
        put(eightDigitsOf: UInt32(truncatingIfNeeded: value))
    }

    @inline(__always)
    private mutating func put(eightDigitsOf value: UInt32) {
        var spread = UInt64(value)
        spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF
        spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF
        spread = (spread | spread << 4) & 0x0F0F_0F0F_0F0F_0F0F
        let isLetter = (spread &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        let digits = spread &+ 0x3030_3030_3030_3030 &+ isLetter &* 0x27
        UnsafeMutableRawPointer(cursor).storeBytes(of: digits.bigEndian, as: UInt64.self)
        cursor += 8
    }

    /// The part of `bytes` that needs no escaping in either format, eight bytes at a time.
    ///
    /// - Returns: how many bytes were put; the rest has something to escape in its first eight, or is
    ///   shorter.
    @inline(__always)
    mutating func put(cleanPrefixOf bytes: UnsafePointer<UInt8>, count: Int) -> Int {
        var index = 0
        while count &- index >= 8 {
            let word = UnsafeRawPointer(bytes + index).loadUnaligned(as: UInt64.self)
            if LineWriter.hasSpecial(word) { break }
            UnsafeMutableRawPointer(cursor).storeBytes(of: word, as: UInt64.self)
            cursor += 8
            index &+= 8
        }
        return index
    }

    /// Whether a byte of the word is a control, a quote, a backslash, DEL or beyond ASCII. Never misses one:
    /// a borrow only ever comes from a lower byte that is one itself.
    @inline(__always)
    static func hasSpecial(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let control = word &- ones &* 0x20
        let quote = (word ^ ones &* 0x22) &- ones
        let backslash = (word ^ ones &* 0x5C) &- ones
        let delete = (word ^ ones &* 0x7F) &- ones
        return (word | control | quote | backslash | delete) & (ones &* 0x80) != 0
    }

    @inline(__always)
    static func isSpecial(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == 0x22 || byte == 0x5C || byte >= 0x7F
    }
}
