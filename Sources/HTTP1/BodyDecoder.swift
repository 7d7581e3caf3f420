internal import ChimeraBytes
package import ChimeraHTTPCore

/// How the end of a message's body is found on the wire (RFC 9112 §6.3).
@usableFromInline package enum WireFraming: Equatable, Sendable {
    case none
    case length(Int)
    case chunked
    /// Responses only: the body ends with the connection.
    case untilClose

    /// There is a body, if perhaps an empty one.
    @inlinable package var hasBody: Bool {
        if case .none = self { false } else { true }
    }

    @inlinable package var isChunked: Bool {
        if case .chunked = self { true } else { false }
    }

    /// The body's end is the connection's.
    @inlinable package var endsConnection: Bool {
        if case .untilClose = self { true } else { false }
    }
}

/// Finds the content of a body in the bytes of a connection (RFC 9112 §6 and §7), sans I/O.
///
/// ```
/// length(n) ──n bytes──▶ done
/// untilClose ──connection ends──▶ done
/// chunked:  size line ──▶ data ──CRLF──▶ size line … 0 ──▶ trailers ──▶ done
/// ```
package struct BodyDecoder {
    /// What the decoder found at the start of its input.
    package enum Step: Equatable {
        /// Content at this range of the input; the bytes up to its end are to be consumed before the next call.
        case content(Range<Int>)
        /// Nothing more to find; so many bytes are to be consumed, and more must come.
        case incomplete(consumed: Int)
        /// The body has ended; so many bytes are to be consumed.
        case end(consumed: Int)
    }

    private enum State: Equatable {
        case length(Int), untilClose, chunkSize, chunkData(Int), chunkEnd, trailers, done
    }

    private var state: State
    private var trailerScanner = LineScanner()
    private var limits: Limits
    /// The trailer fields, once the body has ended.
    package private(set) var trailers: FieldBlock?

    package init(_ framing: WireFraming, limits: Limits) {
        self.limits = limits
        switch framing {
        case .none: state = .done
        case .length(let count): state = count == 0 ? .done : .length(count)
        case .chunked: state = .chunkSize
        case .untilClose: state = .untilClose
        }
    }

    /// Whether the body has ended.
    package var isDone: Bool {
        if case .done = state { true } else { false }
    }

    /// The connection has ended.
    ///
    /// - Returns: whether that ends the body as it should (RFC 9112 §8: otherwise the message is incomplete).
    package mutating func connectionEnded() -> Bool {
        if state == .untilClose { state = .done }
        return state == .done
    }

    /// Looks at the start of `input`.
    package mutating func next(_ input: Span<UInt8>) throws(Refusal) -> Step {
        var position = 0
        while true {
            switch state {
            case .done:
                return .end(consumed: position)
            case .length(let left):
                guard position < input.count else { return .incomplete(consumed: position) }
                let count = min(left, input.count)
                state = count == left ? .done : .length(left - count)
                return .content(0..<count)
            case .untilClose:
                guard !input.isEmpty else { return .incomplete(consumed: 0) }
                return .content(0..<input.count)
            case .chunkSize:
                guard try sizeLine(input, &position) else { return .incomplete(consumed: position) }
            case .chunkData(let left):
                guard position < input.count else { return .incomplete(consumed: position) }
                let count = min(left, input.count - position)
                state = count == left ? .chunkEnd : .chunkData(left - count)
                return .content(position..<(position + count))
            case .chunkEnd:
                guard input.count - position >= 2 else { return .incomplete(consumed: position) }
                guard input[position] == 13, input[position + 1] == 10 else { throw .chunkMalformed }
                position += 2
                state = .chunkSize
            case .trailers:
                // The section stays in the buffer until it is whole, so that its slices keep their meaning: it is
                // looked at from its own start, where the next call's input begins.
                guard let count = try trailerSection(input.extracting(position..<input.count)) else {
                    return .incomplete(consumed: position)
                }
                position += count
                state = .done
            }
        }
    }

    /// RFC 9112 §7.1: `1*HEXDIG [ chunk-ext ] CRLF`.
    private mutating func sizeLine(_ input: Span<UInt8>, _ position: inout Int) throws(Refusal) -> Bool {
        var index = position
        var size = 0
        while index < input.count, let digit = input[index].hexValue {
            guard index - position < 15 else { throw .chunkTooLarge }
            size = size << 4 | Int(digit)
            index += 1
        }
        guard index < input.count else { return false }
        guard index > position else { throw .chunkMalformed }
        guard let end = try extensionsEnd(input, index) else { return false }
        position = end
        state = size == 0 ? .trailers : .chunkData(size)
        return true
    }

    /// RFC 9112 §7.1.1: extensions are ignored, but only what has their form.
    private func extensionsEnd(_ input: Span<UInt8>, _ start: Int) throws(Refusal) -> Int? {
        var index = start
        var seenSemicolon = false
        while index < input.count {
            let byte = input[index]
            if byte == 13 {
                guard seenSemicolon || index == start else { throw .chunkMalformed }
                guard index + 1 < input.count else { return nil }
                guard input[index + 1] == 10 else { throw .chunkMalformed }
                return index + 2
            }
            if byte == 59 { seenSemicolon = true }
            guard byte.isFieldValueCharacter, seenSemicolon || byte == 32 || byte == 9 else {
                throw .chunkMalformed
            }
            guard index - start < limits.chunkExtensionBytesMax else { throw .chunkExtensionTooLong }
            index += 1
        }
        return nil
    }

    /// RFC 9112 §7.1.2: field lines and an empty line; returns how many bytes they take.
    private mutating func trailerSection(_ input: Span<UInt8>) throws(Refusal) -> Int? {
        // The lines and the empty one behind them.
        let bound = limits.trailerBytesMax + 2
        while let line = try trailerScanner.next(in: input, before: bound, else: .trailersTooLarge) {
            if line.isEmpty {
                trailers?.adopt(input.extracting(0..<line.lowerBound))
                return trailerScanner.lineStart
            }
            let block = trailers ?? FieldBlock(byteCapacity: 256, lineCapacity: 8)
            trailers = block
            guard block.lineCount < limits.fieldsMax else { throw .trailersTooLarge }
            do throws(Refusal) {
                try FieldLineParser.parse(input, line, into: block)
            } catch {
                throw .trailerMalformed
            }
        }
        return nil
    }
}
