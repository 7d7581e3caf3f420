@testable import ChimeraBytes
@testable import ChimeraHTTP1
@testable import ChimeraHTTPCore

/// What a decoder made of a body.
private struct BodyFacts: Equatable {
    enum End: Equatable {
        case ended, incomplete
        case refused(Refusal)
    }

    var content: [UInt8] = []
    var trailers: [FieldFacts] = []
    var end = End.incomplete
    /// Bytes behind the body.
    var left = 0

    /// Decodes bytes as they come, keeping what was not consumed, as a connection does.
    init(_ bytes: [UInt8], _ ends: [Int], _ limits: Limits) {
        var decoder = BodyDecoder(.chunked, limits: limits)
        var (buffer, taken) = ([UInt8](), 0)
        for until in ends where end == .incomplete {
            buffer += bytes[taken..<until]
            taken = until
            end = take(&decoder, &buffer)
        }
        guard end == .ended else { return }
        left = buffer.count + bytes.count - taken
        if let block = decoder.trailers { trailers = FieldFacts.all(block) }
    }

    private mutating func take(_ decoder: inout BodyDecoder, _ buffer: inout [UInt8]) -> End {
        while true {
            let step = withExactMemory(buffer[...]) { input -> Result<BodyDecoder.Step, Refusal> in
                do throws(Refusal) {
                    return .success(try decoder.next(input))
                } catch {
                    return .failure(error)
                }
            }
            switch step {
            case .success(.content(let range)):
                content += buffer[range]
                buffer.removeFirst(range.upperBound)
            case .success(.incomplete(let consumed)):
                buffer.removeFirst(consumed)
                return .incomplete
            case .success(.end(let consumed)):
                buffer.removeFirst(consumed)
                return .ended
            case .failure(let refusal): return .refused(refusal)
            }
        }
    }
}

/// A chunked body: the first byte chooses the bounds, the others are what came.
///
/// - The same is made of it in any pieces.
/// - It ends where the grammar says, with the content that the grammar says.
/// - What it decodes to, sent on in chunks, is decoded to the same.
func chunkedFailure(_ input: [UInt8]) -> String? {
    guard let choice = input.first else { return nil }
    let bytes = Array(input.dropFirst())
    let isSmall = choice & 1 == 1
    let limits = limits(small: isSmall)
    var ways = cuts(bytes)[...]
    let facts = BodyFacts(bytes, ways.removeFirst(), limits)
    for way in ways where BodyFacts(bytes, way, limits) != facts { return "pieces give another body" }
    if facts.end == .ended {
        guard let body = ChunkedBody(bytes[...]) else { return "what is no chunked body ends" }
        if body.content != facts.content || body.left != facts.left { return "another body was meant" }
        return FieldFacts.failure(in: facts.trailers) ?? sentOnFailure(facts)
    }
    if !isSmall, let body = ChunkedBody(bytes[...]), body.isWithinBounds {
        return "a chunked body does not end"
    }
    return nil
}

private func sentOnFailure(_ facts: BodyFacts) -> String? {
    let output = ByteBuffer(capacity: 64)
    if !facts.content.isEmpty {
        output.append(hexadecimal: facts.content.count)
        output.append("\r\n")
        output.append(facts.content.span)
        output.append("\r\n")
    }
    output.append("0\r\n")
    for field in facts.trailers {
        output.append(field.name.span)
        output.append(": ")
        output.append(field.value.span)
        output.append("\r\n")
    }
    output.append("\r\n")
    let written = [UInt8](copying: output.readable)
    var limits = Limits()
    limits.trailerBytesMax = written.count
    limits.fieldsMax = written.count
    let again = BodyFacts(written, [written.count], limits)
    let isSame = again.content == facts.content && again.trailers == facts.trailers && again.left == 0
    return isSame && again.end == .ended ? nil : "what is sent on is another body"
}

// MARK: - The grammar once more, without regard to cost

/// RFC 9112 §7.1, read from bytes that are all there.
private struct ChunkedBody {
    var content: [UInt8] = []
    /// Bytes behind the body.
    var left = 0
    /// Whether the usual bounds admit it.
    var isWithinBounds = true

    /// Nil where the bytes do not begin with a whole body.
    init?(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while true {
            guard let line = Self.takeLine(&rest) else { return nil }
            let digits = line.prefix { Character(Unicode.Scalar($0)).isHexDigit }
            let behind = line.dropFirst(digits.count)
            guard !digits.isEmpty, Self.isExtension(behind) else { return nil }
            if digits.count > 15 || behind.count > Limits().chunkExtensionBytesMax { isWithinBounds = false }
            // More than these bytes can hold, unless there are zeroes in front.
            guard let size = Int(String(decoding: digits, as: UTF8.self), radix: 16) else { return nil }
            if size == 0 { break }
            guard rest.count - 2 >= size else { return nil }
            content += rest.prefix(size)
            rest = rest.dropFirst(size)
            guard rest.prefix(2).elementsEqual("\r\n".utf8) else { return nil }
            rest = rest.dropFirst(2)
        }
        guard takeTrailers(&rest) else { return nil }
        left = rest.count
    }

    private mutating func takeTrailers(_ rest: inout ArraySlice<UInt8>) -> Bool {
        let start = rest.startIndex
        var count = 0
        while let line = Self.takeLine(&rest) {
            if line.isEmpty {
                let isBounded = rest.startIndex - start - 2 <= Limits().trailerBytesMax
                isWithinBounds = isWithinBounds && isBounded && count <= Limits().fieldsMax
                return true
            }
            let name = line.prefix { $0 != UInt8(ascii: ":") }
            let value = line.dropFirst(name.count)
            guard !name.isEmpty, name.allSatisfy(\.isTokenCharacter), !value.isEmpty,
                value.allSatisfy(\.isFieldValueCharacter)
            else { return false }
            count += 1
        }
        return false
    }

    /// Up to the first LF, which a CR stands before.
    private static func takeLine(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        let line = rest.prefix { $0 != UInt8(ascii: "\n") }
        guard line.count < rest.count, line.last == UInt8(ascii: "\r") else { return nil }
        rest = rest.dropFirst(line.count + 1)
        return line.dropLast()
    }

    /// Nothing, or blanks, a semicolon, and what may stand in a field's value.
    private static func isExtension(_ text: ArraySlice<UInt8>) -> Bool {
        let behind = text.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        return text.isEmpty
            || behind.first == UInt8(ascii: ";") && behind.allSatisfy(\.isFieldValueCharacter)
    }
}
