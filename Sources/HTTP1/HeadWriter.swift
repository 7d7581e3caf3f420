package import ChimeraBytes
package import ChimeraHTTPCore

/// Writes heads in the form of HTTP/1.1 (RFC 9112 §3 to §6).
package enum HeadWriter {
    /// What the head of a response depends on beside itself.
    package struct ResponseContext {
        /// The request's method.
        package var method: Method
        /// The client and the gateway both want the connection to stay open.
        package var keepAlive: Bool
        /// The client speaks HTTP/1.0.
        package var isHTTP10: Bool
        /// 29 bytes of IMF-fixdate.
        package var date: InlineArray<29, UInt8>

        package init(method: Method, keepAlive: Bool, isHTTP10: Bool, date: InlineArray<29, UInt8>) {
            self.method = method
            self.keepAlive = keepAlive
            self.isHTTP10 = isHTTP10
            self.date = date
        }
    }

    /// Writes a final response head.
    ///
    /// - Returns: how the body that follows is framed; `untilClose` means that the connection must close after it.
    package static func writeResponse(
        _ head: ResponseHead, _ context: ResponseContext, into output: ByteBuffer
    ) -> WireFraming {
        writeStatusLine(head.status, into: output)
        writeFields(head, into: output)
        if !head.contains(.date) {
            output.append("Date: ")
            output.append(context.date.span)
            output.append("\r\n")
        }
        let framing = writeFraming(head, context, into: output)
        if framing == .untilClose || !context.keepAlive {
            output.append("Connection: close\r\n")
        } else if context.isHTTP10 {
            output.append("Connection: keep-alive\r\n")
        }
        output.append("\r\n")
        return framing
    }

    /// Writes a request head for an upstream. Its fields are those of this hop alone; how the body is framed and
    /// what is upgraded to is said here (RFC 9112 §6, RFC 9110 §7.8).
    ///
    /// - Parameters:
    ///   - target: path and query, of `head`'s bytes.
    ///   - upgrade: the protocol that the client asks for, or empty.
    package static func writeRequest(
        _ head: RequestHead, target: Slice, upgrade: Slice, into output: ByteBuffer
    ) -> WireFraming {
        output.append(head[head.methodBytes])
        output.append(" ")
        output.append(head[target])
        output.append(" HTTP/1.1\r\n")
        writeFields(head, into: output)
        let framing = writeRequestFraming(head, into: output)
        if !upgrade.isEmpty {
            output.append("Connection: Upgrade\r\nUpgrade: ")
            output.append(head[upgrade])
            output.append("\r\n")
        }
        output.append("\r\n")
        return framing
    }

    private static func writeRequestFraming(_ head: RequestHead, into output: ByteBuffer) -> WireFraming {
        switch head.body {
        case .none:
            return .none
        case .known(let count):
            if !head.contains(.contentLength) {
                output.append("Content-Length: ")
                output.append(decimal: count)
                output.append("\r\n")
            }
            return .length(count)
        case .unknown:
            output.append("Transfer-Encoding: chunked\r\n")
            return .chunked
        }
    }

    /// Writes an interim response head (RFC 9110 §15.2).
    package static func writeInformational(status: Int, _ fields: FieldBlock?, into output: ByteBuffer) {
        writeStatusLine(status, into: output)
        if let fields { writeFields(fields, into: output) }
        output.append("\r\n")
    }

    /// Writes the head of a switch of protocols (RFC 9110 §15.2.2).
    package static func writeSwitch(_ head: ResponseHead, upgrade: Span<UInt8>, into output: ByteBuffer) {
        writeStatusLine(101, into: output)
        writeFields(head, into: output)
        output.append("Connection: Upgrade\r\nUpgrade: ")
        output.append(upgrade)
        output.append("\r\n\r\n")
    }

    /// Writes the lines of a field section that are present.
    package static func writeFields(_ block: FieldBlock, into output: ByteBuffer) {
        output.reserve(block.linesBytesMax)
        guard let room = output.writable.baseAddress else { return }
        output.commit(block.writeLines(to: room.assumingMemoryBound(to: UInt8.self)))
    }

    private static func writeStatusLine(_ status: Int, into output: ByteBuffer) {
        switch status {
        case 200: output.append("HTTP/1.1 200 OK\r\n")
        case 304: output.append("HTTP/1.1 304 Not Modified\r\n")
        default:
            output.append("HTTP/1.1 ")
            output.append(decimal: status)
            output.append(" ")
            output.append(ReasonPhrase.of(status))
            output.append("\r\n")
        }
    }

    private static func writeFraming(
        _ head: ResponseHead, _ context: ResponseContext, into output: ByteBuffer
    ) -> WireFraming {
        // RFC 9110 §8.6: no Content-Length with 1xx and 204; in a 304 it would describe another message.
        if head.forbidsContent { return .none }
        switch head.body {
        case .none:
            output.append("Content-Length: 0\r\n")
            return .none
        case .known(let count):
            output.append("Content-Length: ")
            output.append(decimal: count)
            output.append("\r\n")
            return context.method == .head ? .none : .length(count)
        case .unknown:
            if context.method == .head { return .none }
            // RFC 9112 §6.1: chunked is never sent to HTTP/1.0.
            if context.isHTTP10 { return .untilClose }
            output.append("Transfer-Encoding: chunked\r\n")
            return .chunked
        }
    }
}
