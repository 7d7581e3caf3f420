internal import ChimeraBytes
package import ChimeraHTTPCore

/// The connection options of a head (RFC 9110 §7.6.1): the tokens of all its Connection lines.
package enum ConnectionOptions {
    /// Calls `body` with each option.
    package static func forEach(in head: FieldBlock, _ body: (Span<UInt8>) -> Void) {
        for index in 0..<head.lineCount {
            let line = head.line(at: index)
            guard line.isPresent, line.name == .connection else { continue }
            let value = head[line.value]
            var start = 0
            while start < value.count {
                let end = value.firstIndex(of: 44, from: start) ?? value.count
                let token = value.trimmingWhitespace(start..<end)
                if !token.isEmpty { body(value.extracting(token)) }
                start = end + 1
            }
        }
    }

    /// Takes out what concerns this connection alone, the fields that Connection names included, so that the rest
    /// may be passed on (RFC 9110 §7.6.1). `TE: trailers` is for the caller to add again.
    package static func removeHopByHop(from head: FieldBlock) {
        if head.contains(.connection) {
            forEach(in: head) { option in
                // RFC 9110 §7.6.1: a sender must not name a field that is meant for the end recipient.
                // Content-Length and Host belong to the message; a peer that names them does not get them dropped.
                let name = FieldName(option)
                if name != .contentLength && name != .host { head.remove(name: option) }
            }
            head.remove(.connection)
        }
        head.remove(.keepAlive)
        head.remove(.proxyConnection)
        head.remove(.te)
        head.remove(.transferEncoding)
        head.remove(.upgrade)
        head.remove(.http2Settings)
    }
}
