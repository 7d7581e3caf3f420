package import ChimeraBytes
internal import ChimeraWebSocket

/// What a program writes as server-sent events (WHATWG HTML §9.2): a line is an event.
///
/// ```
///  data: a line of standard output            event: stderr              event: exit
///                                             data: a line of that       data: {"status":0}
/// ```
/// A line goes out as it comes, and the event ends with it, so that a line of any length needs no room here. A lone
/// carriage return, which would end a line of the stream, goes on with another `data:`, which is a line end to the client.
package struct EventStream: ~Copyable {
    private let name: StaticString?
    /// What came of a character that is not whole, or half of a line's end.
    private var cut: [UInt8] = []
    /// An event has begun and has not ended.
    package private(set) var isInLine = false

    /// - Parameter name: the type of the events; nil for those that have none.
    package init(named name: StaticString? = nil) { self.name = name }

    /// Writes what came.
    package mutating func take(_ bytes: Span<UInt8>, to output: ByteBuffer) {
        let all = cut + Array(copying: bytes)
        let whole = all.span.endOfWholeCharacters(holdsReturn: true)
        cut = Array(all[whole...])
        append(all.span.extracting(0..<whole), to: output)
    }

    /// Ends an event that has begun, so that one of another kind may begin.
    package mutating func breakOff(to output: ByteBuffer) {
        if isInLine { endLine(output) }
    }

    /// There is no more: a line that was not ended is an event all the same.
    package mutating func end(to output: ByteBuffer) {
        let rest = cut
        cut = []
        append(rest.span, to: output)
        breakOff(to: output)
    }

    /// The last event: how the program has ended.
    package static func appendExit(_ end: ProgramEnd, to output: ByteBuffer) {
        output.append("event: exit\ndata: {")
        switch end {
        case .exited(let status):
            output.append("\"status\":")
            output.append(decimal: Int(status))
        case .signalled(let number):
            output.append("\"signal\":")
            output.append(decimal: Int(number))
        case .unknown: break
        }
        output.append("}\n\n")
    }

    /// Nothing that a client would see: whether it is there shows when it is sent.
    package static func appendComment(to output: ByteBuffer) { output.append(":\n\n") }

    private mutating func append(_ bytes: Span<UInt8>, to output: ByteBuffer) {
        var validator = UTF8Validator()
        if validator.take(bytes), validator.isComplete { return appendText(bytes, output) }
        let repaired = Array(String(decoding: Array(copying: bytes), as: UTF8.self).utf8)
        appendText(repaired.span, output)
    }

    private mutating func appendText(_ text: Span<UInt8>, _ output: ByteBuffer) {
        var start = 0
        for index in 0..<text.count {
            let byte = text[index]
            guard byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") else { continue }
            appendRun(text.extracting(start..<index), output)
            start = index + 1
            if byte == UInt8(ascii: "\n") {
                beginLine(output)
                endLine(output)
            } else if start >= text.count || text[start] != UInt8(ascii: "\n") {
                beginLine(output)
                output.append("\ndata: ")
            }
        }
        appendRun(text.extracting(start..<text.count), output)
    }

    private mutating func appendRun(_ text: Span<UInt8>, _ output: ByteBuffer) {
        guard text.count > 0 else { return }
        beginLine(output)
        output.append(text)
    }

    private mutating func beginLine(_ output: ByteBuffer) {
        guard !isInLine else { return }
        isInLine = true
        if let name {
            output.append("event: ")
            output.append(name)
            output.append("\n")
        }
        output.append("data: ")
    }

    private mutating func endLine(_ output: ByteBuffer) {
        isInLine = false
        output.append("\n\n")
    }
}
