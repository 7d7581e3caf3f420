internal import ChimeraBytes
internal import ChimeraTLS
internal import ChimeraWebSocket

/// The opening of a WebSocket as its client (RFC 6455 §4.1), over a connection of its own.
enum ClientHandshake {
    /// Why there is none; for the operator.
    struct Failure: Error, Equatable {
        let reason: String
        /// The request itself is said to be wrong.
        var isRefusal = false
        /// Who asks is to say who that is.
        var wantsUser = false
    }

    /// A connection that has become a WebSocket.
    struct Opened {
        let transport: ClientTransport
        /// The subprotocol was agreed to.
        let isTagged: Bool
        /// What came behind the head.
        let rest: [UInt8]
    }

    private static let headOctetsMax = 64 * 1024

    /// Connects and asks.
    static func open(
        _ address: WebSocketAddress, subprotocol: String?, fields: [String] = [], trust: TLSClient.Trust
    ) throws(Failure) -> Opened {
        let transport = try ClientTransport.connect(to: address, trust: trust)
        let key = OpeningHandshake.key((UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max)))
        let head = ByteBuffer(capacity: 1024)
        head.append(request(address, key, subprotocol, fields).span)
        guard transport.send(head, waits: true) else {
            throw Failure(reason: "the connection ended before a word")
        }
        let (answer, rest) = try readHead(transport)
        let isTagged = try agreed(answer, key, subprotocol)
        return Opened(transport: transport, isTagged: isTagged, rest: rest)
    }

    /// - Parameter fields: more lines of the head, `Name: value`.
    static func request(
        _ address: WebSocketAddress, _ key: [UInt8], _ subprotocol: String?, _ fields: [String] = []
    ) -> [UInt8] {
        var lines = [
            "GET \(address.target) HTTP/1.1", "Host: \(address.authority)", "Connection: Upgrade",
            "Upgrade: websocket", "Sec-WebSocket-Version: \(OpeningHandshake.version)",
            "Sec-WebSocket-Key: \(String(decoding: key, as: UTF8.self))",
        ]
        if let subprotocol { lines.append("Sec-WebSocket-Protocol: \(subprotocol)") }
        lines += fields
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    private static func readHead(_ transport: ClientTransport) throws(Failure) -> (
        head: [UInt8], rest: [UInt8]
    ) {
        let mark = Array("\r\n\r\n".utf8)
        let received = ByteBuffer(capacity: 4096)
        while received.count < headOctetsMax {
            switch transport.receive(into: received, waits: true) {
            case .something: break
            case .nothing: continue
            case .end: throw Failure(reason: "the connection ended before an answer")
            }
            let bytes = Array(copying: received.readable)
            guard bytes.count >= mark.count else { continue }
            for index in 0...(bytes.count - mark.count)
            where bytes[index..<(index + mark.count)].elementsEqual(mark) {
                return (Array(bytes[..<index]), Array(bytes[(index + mark.count)...]))
            }
        }
        throw Failure(reason: "the answer's head does not end")
    }

    /// Whether the subprotocol was agreed to.
    static func agreed(_ head: [UInt8], _ key: [UInt8], _ subprotocol: String?) throws(Failure) -> Bool {
        let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
        let status = lines.first?.split(separator: " ", maxSplits: 1).last.map(String.init) ?? ""
        guard status.hasPrefix("101") else {
            throw Failure(
                reason: "no WebSocket: \(status.isEmpty ? "an answer that is none" : status.printable)",
                isRefusal: status.hasPrefix("400"), wantsUser: status.hasPrefix("401"))
        }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields[parts[0].lowercased()] = parts[1].trimmingBlanks
        }
        let accept = Array((fields["sec-websocket-accept"] ?? "").utf8)
        guard OpeningHandshake.isAnswer(accept.span, to: key.span) else {
            throw Failure(reason: "the answer does not prove that it is one to what was asked")
        }
        // §4.1: nothing but what was offered.
        guard fields["sec-websocket-extensions"] == nil else {
            throw Failure(reason: "the answer has an extension that was not offered")
        }
        guard let chosen = fields["sec-websocket-protocol"] else { return false }
        guard chosen == subprotocol else {
            throw Failure(reason: "the answer has a subprotocol that was not offered")
        }
        return true
    }
}

extension Substring {
    fileprivate var trimmingBlanks: String {
        var text = drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }
}

extension String {
    /// Without anything that would drive a terminal.
    var printable: String {
        String(
            String.UnicodeScalarView(
                unicodeScalars.filter { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) }))
    }
}
