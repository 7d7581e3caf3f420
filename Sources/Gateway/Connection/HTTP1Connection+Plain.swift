internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTP1
internal import ChimeraHTTPCore

/// Connections of `listen … session=`, on which nobody speaks HTTP: to all behind it such a connection is one request for
/// the session's path that becomes a tunnel at once, so that limits, logs, metrics and a drain are what they are anywhere.
/// Nothing of heads goes over the wire; who is refused finds the connection closed.
extension HTTP1Connection {
    /// The connection speaks no HTTP.
    var isPlain: Bool { client.listener.session != nil }

    /// Begins, without a word of the client.
    func beginPlain(_ session: SessionAddress) {
        let transaction = takeTransaction()
        let site = host.dispatcher.defaultSite(on: client.listener.id)
        guard fill(transaction.request, session, host: site?.name ?? "") else {
            host.giveTransaction(transaction)
            return close(.refused)
        }
        hasBegun = true
        hasServed = true
        setDeadline(after: nil)
        var verdict = host.begin(transaction, client, tls)
        if case .serve(let route) = verdict {
            // A more specific route of this path, or one with a matcher, is somebody else's.
            if case .session = route.target {
            } else {
                verdict = .answer(host.refuse(transaction, status: 404))
            }
        }
        let nothing = host.scratchOutput
        nothing.clear()
        becomeTask(.request(transaction, verdict), input: nothing, output: nothing)
    }

    private func fill(_ request: RequestHead, _ session: SessionAddress, host: String) -> Bool {
        let name = host.contains("*") ? "" : host
        var bytes = Array("GET ".utf8)
        for byte in session.path.utf8 { bytes.append(escaping: byte) }
        bytes += Array(" HTTP/1.1\r\nHost: \(name)\r\n\r\n".utf8)
        parser.reset()
        guard let progress = try? parser.parse(bytes.span, into: request), progress == .complete(bytes.count)
        else { return false }
        // It came by no version of HTTP.
        request.majorVersion = 0
        request.minorVersion = 0
        return true
    }
}

extension [UInt8] {
    /// Appends an octet of a path, as an escape where a target has none such.
    fileprivate mutating func append(escaping byte: UInt8) {
        if (0x21...0x7E).contains(byte), !"\"<>\\^`|%".utf8.contains(byte) { return append(byte) }
        let digits = Array("0123456789ABCDEF".utf8)
        self += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
}
