internal import CLinux
internal import ChimeraBytes
internal import ChimeraWebSocket
internal import Glibc

/// The opening of a WebSocket as its client (RFC 6455 §4.1), over a connection of its own.
enum ClientHandshake {
    /// Why there is none; for the operator.
    struct Failure: Error, Equatable {
        let reason: String
        /// The request itself is said to be wrong.
        var isRefusal = false
    }

    /// A connection that has become a WebSocket.
    struct Opened {
        let descriptor: Int32
        /// The subprotocol was agreed to.
        let isTagged: Bool
        /// What came behind the head.
        let rest: [UInt8]
    }

    private static let headOctetsMax = 64 * 1024

    /// Connects and asks. The connection is the caller's to close.
    static func open(_ address: WebSocketAddress, subprotocol: String?) throws(Failure) -> Opened {
        let descriptor = try connect(address)
        do throws(Failure) {
            let key = OpeningHandshake.key(
                (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max)))
            try send(request(address, key, subprotocol), descriptor)
            let (head, rest) = try readHead(descriptor)
            let isTagged = try agreed(head, key, subprotocol)
            return Opened(descriptor: descriptor, isTagged: isTagged, rest: rest)
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func connect(_ address: WebSocketAddress) throws(Failure) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(address.host, address.port, &hints, &found)
        guard result == 0 else {
            throw Failure(reason: "\(address.host): \(String(cString: gai_strerror(result)))")
        }
        defer { freeaddrinfo(found) }
        var next = found
        var number: Int32 = 0
        while let place = next?.pointee {
            let descriptor = socket(
                place.ai_family, place.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), place.ai_protocol)
            if descriptor >= 0 {
                if Glibc.connect(descriptor, place.ai_addr, place.ai_addrlen) == 0 { return descriptor }
                number = errno
                close(descriptor)
            }
            next = place.ai_next
        }
        throw Failure(reason: "\(address.authority): \(String(cString: strerror(number)))")
    }

    static func request(_ address: WebSocketAddress, _ key: [UInt8], _ subprotocol: String?) -> [UInt8] {
        var lines = [
            "GET \(address.target) HTTP/1.1", "Host: \(address.authority)", "Connection: Upgrade",
            "Upgrade: websocket", "Sec-WebSocket-Version: \(OpeningHandshake.version)",
            "Sec-WebSocket-Key: \(String(decoding: key, as: UTF8.self))",
        ]
        if let subprotocol { lines.append("Sec-WebSocket-Protocol: \(subprotocol)") }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    private static func send(_ bytes: [UInt8], _ descriptor: Int32) throws(Failure) {
        let count = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        guard count == bytes.count else { throw Failure(reason: "the connection ended before a word") }
    }

    private static func readHead(_ descriptor: Int32) throws(Failure) -> (head: [UInt8], rest: [UInt8]) {
        let mark = Array("\r\n\r\n".utf8)
        var bytes: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 4096)
        while bytes.count < headOctetsMax {
            let count = read(descriptor, &room, room.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Failure(reason: "the connection ended before an answer") }
            bytes += room[..<count]
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
                isRefusal: status.hasPrefix("400"))
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
    fileprivate var printable: String {
        String(String.UnicodeScalarView(unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }))
    }
}
