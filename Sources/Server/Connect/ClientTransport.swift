internal import CLinux
internal import ChimeraBytes
internal import ChimeraTLS
internal import Glibc

/// A client's connection, with TLS or without. It waits where that is said, and nowhere else.
final class ClientTransport {
    let descriptor: Int32
    private let tls: TLSClient?
    /// Records that the kernel has not taken.
    private let records = ByteBuffer(capacity: 16 * 1024)
    private var room = [UInt8](repeating: 0, count: 16 * 1024)

    /// What a look at the connection found.
    enum Received { case something, nothing, end }

    /// Takes a connection over, with its handshake done.
    private init(_ descriptor: Int32, _ tls: TLSClient?) {
        self.descriptor = descriptor
        self.tls = tls
    }

    deinit { close(descriptor) }

    /// Connects, and shakes hands where that is asked for; waits for all of it.
    static func connect(
        to address: WebSocketAddress, trust: TLSClient.Trust
    ) throws(ClientHandshake.Failure) -> ClientTransport {
        let descriptor = try open(address)
        guard address.isSecure else { return ClientTransport(descriptor, nil) }
        do throws(TLSClient.Failure) {
            let tls = try TLSClient(host: address.host, trust: trust)
            let transport = ClientTransport(descriptor, tls)
            try transport.shakeHands(tls)
            return transport
        } catch {
            let advice = error.isDistrust ? "; name its authority with --ca FILE" : ""
            throw ClientHandshake.Failure(reason: "\(address.authority): \(error.reason)\(advice)")
        }
    }

    private static func open(_ address: WebSocketAddress) throws(ClientHandshake.Failure) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        // RFC 6761 §6.3: such a name is this machine's, whether its resolver knows that or not.
        let host = address.host.hasSuffix(".localhost") ? "localhost" : address.host
        let result = getaddrinfo(host, address.port, &hints, &found)
        guard result == 0 else {
            throw ClientHandshake.Failure(reason: "\(address.host): \(String(cString: gai_strerror(result)))")
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
        throw ClientHandshake.Failure(reason: "\(address.authority): \(String(cString: strerror(number)))")
    }

    private func shakeHands(_ tls: TLSClient) throws(TLSClient.Failure) {
        while true {
            let isDone: Bool
            do throws(TLSClient.Failure) {
                isDone = try tls.handshake()
            } catch {
                // Why it fails is the other side's to know as well.
                tls.outgoing(to: records)
                _ = flush(waits: true)
                throw error
            }
            tls.outgoing(to: records)
            guard flush(waits: true) else {
                // What cannot be sent is of no use to anybody; the handshake says itself what it misses.
                records.clear()
                tls.receiveEnd()
                if isDone { return }
                continue
            }
            if isDone { return }
            let count = receiveWire(waits: true)
            // At the end the handshake says itself what it misses.
            if count <= 0 { tls.receiveEnd() }
        }
    }

    // MARK: Bytes

    /// Something waits for the kernel to take it.
    var isBlocked: Bool { !records.isEmpty }

    /// Reads what has come, behind what is in `buffer`.
    func receive(into buffer: ByteBuffer, waits: Bool = false) -> Received {
        guard let tls else {
            let count = receiveWire(waits: waits)
            guard count > 0 else { return count == 0 ? .end : .nothing }
            room.withUnsafeBytes { buffer.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            return .something
        }
        let before = buffer.count
        // What came with the end of the handshake is there already.
        var goesOn = tls.read(into: buffer)
        if goesOn, buffer.count == before {
            let count = receiveWire(waits: waits)
            if count < 0 { return .nothing }
            if count > 0 { goesOn = tls.read(into: buffer) } else { goesOn = false }
        }
        tls.outgoing(to: records)
        _ = flush(waits: false)
        if buffer.count > before { return .something }
        return goesOn ? .nothing : .end
    }

    /// Sends what is in `buffer`, and keeps there what does not go.
    ///
    /// - Returns: false where nothing goes any more.
    @discardableResult
    func send(_ buffer: ByteBuffer, waits: Bool = false) -> Bool {
        guard let tls else { return Self.send(buffer, descriptor, waits: waits) }
        guard flush(waits: waits) else { return false }
        guard records.isEmpty else { return true }
        guard tls.write(UnsafeRawBufferPointer(buffer.pending)) else { return false }
        buffer.clear()
        tls.outgoing(to: records)
        return flush(waits: waits)
    }

    /// - Returns: octets that came; 0 at the end, negative where there are none yet.
    private func receiveWire(waits: Bool) -> Int {
        while true {
            let count = recv(descriptor, &room, room.count, waits ? 0 : Int32(MSG_DONTWAIT))
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno != EAGAIN { return 0 }
            if count > 0, let tls { room.withUnsafeBytes { tls.receive(.init(rebasing: $0[..<count])) } }
            return count
        }
    }

    private func flush(waits: Bool) -> Bool { Self.send(records, descriptor, waits: waits) }

    private static func send(_ buffer: ByteBuffer, _ descriptor: Int32, waits: Bool) -> Bool {
        let flags = Int32(MSG_NOSIGNAL) | (waits ? 0 : Int32(MSG_DONTWAIT))
        while !buffer.isEmpty {
            let count = Glibc.send(descriptor, buffer.pending.baseAddress, buffer.count, flags)
            if count > 0 {
                buffer.consume(count)
            } else if errno != EINTR {
                return errno == EAGAIN
            }
        }
        return true
    }
}
