package import ChimeraBytes
package import ChimeraWebSocket

/// How what a program writes becomes messages, and how messages become what it reads.
package enum Framing: String, CaseIterable, Sendable {
    /// A line is a text message, and a message is a line.
    case lines
    /// What was read at once is a binary message; messages are passed on as they are.
    case raw
    /// A message has its length before it, as four octets, the highest first; binary messages.
    case length
}

/// What a program writes, on its way to a client.
package struct ProgramOutput: ~Copyable {
    private let framing: Framing
    /// What came of a line that has not ended, or of a length that is not whole.
    private var partial: ByteBuffer?
    /// Octets of the message with a length that are still to come.
    private var left = 0
    /// The line began as a message that is sent in parts.
    private var isInLine = false

    /// A line that is longer is sent in fragments as it comes, so that no program can make memory grow.
    package static let lineOctetsHeld = 32 * 1024
    private static let nothing: [UInt8] = []

    package init(_ framing: Framing) { self.framing = framing }

    /// Writes what came as frames.
    package mutating func take(
        _ bytes: Span<UInt8>, _ encoder: inout MessageEncoder, to output: ByteBuffer
    ) {
        switch framing {
        case .lines: takeLines(bytes, &encoder, output)
        case .raw: if bytes.count > 0 { encoder.append(.binary, bytes, to: output) }
        case .length: takeLengths(bytes, &encoder, output)
        }
    }

    /// Ends a line that is sent in parts, so that another message may begin; what follows of it is one of its own.
    package mutating func breakOff(_ encoder: inout MessageEncoder, to output: ByteBuffer) {
        if isInLine { emit(Self.nothing.span, isLast: true, &encoder, output) }
    }

    /// There is no more: what has begun is sent as far as it came.
    package mutating func end(_ encoder: inout MessageEncoder, to output: ByteBuffer) {
        switch framing {
        case .lines:
            if let partial {
                self.partial = nil
                emit(partial.readable, isLast: true, &encoder, output)
            } else if isInLine {
                emit(Self.nothing.span, isLast: true, &encoder, output)
            }
        case .raw: break
        case .length:
            partial = nil
            left = 0
            // The peer sees that it is not whole by the close status alone; the frame has to end all the same.
            if encoder.isInMessage { encoder.appendPart(Self.nothing.span, isLast: true, to: output) }
        }
    }

    // MARK: Lines

    private mutating func takeLines(
        _ bytes: Span<UInt8>, _ encoder: inout MessageEncoder, _ output: ByteBuffer
    ) {
        var start = 0
        while start < bytes.count {
            guard let end = bytes.firstIndex(of: UInt8(ascii: "\n"), from: start) else {
                return hold(bytes.extracting(start..<bytes.count), &encoder, output)
            }
            let line = bytes.extracting(start..<end)
            start = end + 1
            if let held = partial {
                held.append(line)
                partial = nil
                emit(held.readable.droppingReturn(), isLast: true, &encoder, output)
            } else {
                emit(line.droppingReturn(), isLast: true, &encoder, output)
            }
        }
    }

    private mutating func hold(
        _ bytes: Span<UInt8>, _ encoder: inout MessageEncoder, _ output: ByteBuffer
    ) {
        let held = partial ?? ByteBuffer(capacity: max(256, bytes.count))
        partial = held
        held.append(bytes)
        guard held.count >= Self.lineOctetsHeld else { return }
        // Not in the middle of a character, and not of a line's end.
        let whole = held.readable.endOfWholeCharacters(holdsReturn: true)
        emit(held.readable.extracting(0..<whole), isLast: false, &encoder, output)
        held.consume(whole)
        if held.isEmpty { partial = nil }
    }

    /// RFC 6455 §8.1: text is UTF-8; what is none is replaced, since a client would have to end the connection.
    private mutating func emit(
        _ text: Span<UInt8>, isLast: Bool, _ encoder: inout MessageEncoder, _ output: ByteBuffer
    ) {
        var validator = UTF8Validator()
        guard validator.take(text), validator.isComplete else {
            let repaired = Array(String(decoding: Array(copying: text), as: UTF8.self).utf8)
            return send(repaired.span, isLast, &encoder, output)
        }
        send(text, isLast, &encoder, output)
    }

    private mutating func send(
        _ text: Span<UInt8>, _ isLast: Bool, _ encoder: inout MessageEncoder, _ output: ByteBuffer
    ) {
        if isLast && !isInLine { return encoder.append(.text, text, to: output) }
        if !isInLine { encoder.begin(.text) }
        isInLine = !isLast
        encoder.appendPart(text, isLast: isLast, to: output)
    }

    // MARK: Lengths

    private mutating func takeLengths(
        _ bytes: Span<UInt8>, _ encoder: inout MessageEncoder, _ output: ByteBuffer
    ) {
        var position = 0
        while position < bytes.count {
            if left > 0 {
                let here = min(left, bytes.count - position)
                left -= here
                encoder.appendPart(
                    bytes.extracting(position..<(position + here)), isLast: left == 0, to: output)
                position += here
                continue
            }
            let held = partial ?? ByteBuffer(capacity: 4)
            partial = held
            held.append(bytes[position])
            position += 1
            guard held.count == 4 else { continue }
            left = held.readable.bigEndian32
            partial = nil
            if left == 0 {
                encoder.append(.binary, Self.nothing.span, to: output)
            } else {
                encoder.begin(.binary)
            }
        }
    }
}

/// What a client says, on its way to a program.
package struct ProgramInput: ~Copyable {
    private let framing: Framing
    /// Says which client it is, where a program has several.
    private let tag: ClientTag?
    /// The parts of a message whose length has to stand before it, or which has a tag.
    private var held: ByteBuffer?

    package init(_ framing: Framing, tag: ClientTag? = nil) {
        self.framing = framing
        self.tag = tag
    }

    var isTagged: Bool { tag != nil }

    /// Appends a part of a message as the program is to read it. How long a message may be is the decoder's business.
    package mutating func take(_ bytes: Span<UInt8>, isLast: Bool, to output: ByteBuffer) {
        if let tag { return hold(bytes, isLast) { tag.append($0, to: output) } }
        switch framing {
        case .lines:
            output.append(bytes)
            if isLast { output.append(UInt8(ascii: "\n")) }
        case .raw: output.append(bytes)
        case .length:
            hold(bytes, isLast) {
                output.append(bigEndian32: $0.count)
                output.append($0)
            }
        }
    }

    /// Passes a message on that is whole.
    private mutating func hold(_ bytes: Span<UInt8>, _ isLast: Bool, _ pass: (Span<UInt8>) -> Void) {
        if isLast && held == nil { return pass(bytes) }
        let buffer = held ?? ByteBuffer(capacity: max(256, bytes.count))
        held = buffer
        buffer.append(bytes)
        guard isLast else { return }
        pass(buffer.readable)
        held = nil
    }
}

extension ByteBuffer {
    fileprivate func append(bigEndian32 number: Int) {
        for shift in [24, 16, 8, 0] { append(UInt8(truncatingIfNeeded: number >> shift)) }
    }
}

extension Span where Element == UInt8 {
    fileprivate var bigEndian32: Int {
        Int(self[0]) << 24 | Int(self[1]) << 16 | Int(self[2]) << 8 | Int(self[3])
    }

    /// Without a carriage return at its end.
    @_lifetime(copy self)
    fileprivate func droppingReturn() -> Span<UInt8> {
        count > 0 && self[count - 1] == UInt8(ascii: "\r") ? extracting(0..<(count - 1)) : self
    }

    /// Where the last character begins that may be cut, or a carriage return that may be half of a line's end; `count`
    /// where neither is there.
    ///
    /// - Parameter holdsReturn: false where lines do not matter.
    func endOfWholeCharacters(holdsReturn: Bool) -> Int {
        guard count > 0 else { return 0 }
        if holdsReturn && self[count - 1] == UInt8(ascii: "\r") { return count - 1 }
        var index = count - 1
        // A character has four octets at most, of which the first says how many.
        while index > 0, count - index < 4, self[index] & 0xC0 == 0x80 { index -= 1 }
        let first = self[index]
        let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1
        return count - index < length ? index : count
    }
}
