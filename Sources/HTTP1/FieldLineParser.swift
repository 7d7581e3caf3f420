internal import ChimeraBytes
internal import ChimeraHTTPCore

/// Parses one field line in place (RFC 9112 §5): name, colon, optional white space, value.
enum FieldLineParser {
    /// Appends the field that stands in `line` of `input` to `block`, as slices relative to the input's start.
    static func parse(_ input: Span<UInt8>, _ line: Range<Int>, into block: FieldBlock) throws(Refusal) {
        precondition(line.lowerBound >= 0 && line.upperBound <= input.count)
        let colon = try nameEnd(input, line, block.known.isToken)
        var start = colon + 1
        var end = line.upperBound
        while start < end && isBlank(input[unchecked: start]) { start += 1 }
        while end > start && isBlank(input[unchecked: end - 1]) { end -= 1 }
        guard isFieldValue(input, start..<end) else { throw .fieldValueMalformed }
        let name = Slice(start: line.lowerBound, count: colon - line.lowerBound)
        block.add(
            FieldLine(
                name: FieldName(input.extracting(unchecked: name.range), block.known), nameBytes: name,
                value: Slice(start: start, count: end - start)))
    }

    private static func nameEnd(
        _ input: Span<UInt8>, _ line: Range<Int>, _ table: UnsafePointer<Bool>
    ) throws(Refusal) -> Int {
        var index = line.lowerBound
        // Sound: the line lies within the span, and the table has a place for each octet.
        while index < line.upperBound && table[Int(input[unchecked: index])] { index += 1 }
        guard index < line.upperBound, input[index] == 58, index > line.lowerBound else {
            // RFC 9112 §5.2: obsolete folding; §5.1: no white space between the name and the colon.
            throw index == line.lowerBound && index < line.upperBound && isBlank(input[index])
                ? .fieldFolded : .fieldNameMalformed
        }
        return index
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }

    /// RFC 9110 §5.5: visible characters, obs-text, SP and HTAB. A bare CR and NUL are refused with the rest of
    /// the controls. Eight bytes at a time for what is plain ASCII without controls.
    private static func isFieldValue(_ input: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var index = range.lowerBound
        let bytes = input.bytes
        while index + 8 <= range.upperBound {
            // Sound: eight bytes from index lie within the span, and any bits make an integer.
            let word = bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
            let below32 = (word &- 0x2020_2020_2020_2020) & ~word
            let differing = word ^ 0x7f7f_7f7f_7f7f_7f7f
            let delete = (differing &- 0x0101_0101_0101_0101) & ~differing
            if (below32 | delete | word) & 0x8080_8080_8080_8080 != 0 {
                for offset in 0..<8 where !input[index + offset].isFieldValueCharacter { return false }
            }
            index += 8
        }
        while index < range.upperBound {
            if !input[index].isFieldValueCharacter { return false }
            index += 1
        }
        return true
    }
}
