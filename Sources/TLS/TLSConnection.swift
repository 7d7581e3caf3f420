internal import COpenSSL
internal import ChimeraBytes
package import ChimeraEventLoop
internal import Glibc

/// Who says which site a client asks for.
package protocol TLSSiteChooser: AnyObject {
    /// The site of a name from a ClientHello; nil refuses the handshake.
    ///
    /// - Parameter serverName: in small letters, without a dot at its end; empty where the client names none.
    func site(forServerName serverName: [UInt8]) -> TLSSite?
}

/// A server's end of one TLS connection, between a socket and who reads and writes there.
///
/// ```
///  socket ──recv──▶ records ──▶ plaintext ──▶ read(into:)
///  socket ◀──send── records ◀── plaintext ◀── write
///             ╰ what the kernel does not take is kept here, and a byte counts as unwritten for as long
/// ```
/// To who writes it looks like the kernel: a write that comes back whole is out. Of one whose records are not all out,
/// the last byte is held back: the caller has to write it once more, which only waits for the rest of the records.
package final class TLSConnection: SocketLayer {
    let endpoint: TLSEndpoint
    private let ssl: OpaquePointer
    private let wire: UnsafeMutablePointer<chimera_wire>
    @exclusivity(unchecked) private unowned(unsafe) var chooser: (any TLSSiteChooser)?
    /// What the client asked for; nil before it did.
    @exclusivity(unchecked) package private(set) var site: TLSSite?
    /// The name that the client asked for, in small letters and without a dot at its end; empty where it named none.
    @exclusivity(unchecked) private(set) var serverName: [UInt8] = []
    /// Records that the kernel has not taken.
    @exclusivity(unchecked) private var unsent: ByteBuffer?
    /// What is unsent was not refused: it goes with what is written next.
    @exclusivity(unchecked) private var isDeferred = false
    /// Bytes that were encrypted and that the caller writes again.
    @exclusivity(unchecked) private var heldBack = 0
    /// Bytes of plaintext since the connection was last quiet.
    @exclusivity(unchecked) private var burst = 0
    @exclusivity(unchecked) private var wroteAt: Int64 = 0
    @exclusivity(unchecked) private var isEstablished = false
    @exclusivity(unchecked) private var hasEnded = false
    @exclusivity(unchecked) private var endsAfterUnsent = false
    @exclusivity(unchecked) private var hasFailed = false
    /// What the peer did that ended the connection, beside its leaving; nil where nothing did.
    @exclusivity(unchecked) package private(set) var fault: Fault?
    /// Up to when KeyUpdates were earned, in milliseconds of the worker's clock.
    @exclusivity(unchecked) private var keyUpdatesEarnedTo: Int64
    /// Bytes of what is unsent that answer what was read.
    @exclusivity(unchecked) private var answerBytes = 0
    /// The name was refused, and not what came behind it.
    @exclusivity(unchecked) private var isNameRefused = false
    @exclusivity(unchecked) private var subject: [UInt8]?
    /// Made when they are first asked for: most connections of a gateway without a log never are.
    @exclusivity(unchecked) private var madeFacts: TLSFacts?

    /// Bytes of a record at the beginning of an answer, so that the client can decrypt before more than this is there.
    private static let smallRecordBytes = 4 * 1024
    /// RFC 8446 §5.1.
    package static let recordBytesMax = 16 * 1024
    /// Bytes after which records are large, and milliseconds without any after which they are small again.
    private static let burstBytes = 64 * 1024
    private static let quietMilliseconds: Int64 = 1_000

    /// KeyUpdates of a peer: so many at once, and one more each so many milliseconds. Who renews keys for what was sent
    /// with them does so once in gigabytes.
    private static let keyUpdatesMax = 32
    private static let keyUpdateMilliseconds: Int64 = 1_000
    /// Bytes of answers to what was read that wait for a peer at most.
    private static let answerBytesMax = 16 * 1024

    /// How a peer breaks TLS.
    package enum Fault {
        /// What came is not to be understood; the peer was sent an alert.
        case broken
        /// More KeyUpdates than anybody needs (RFC 8446 §4.6.3), a renegotiation, which is refused in any number
        /// (RFC 5246 §7.2.2), or more of what has to be answered than it reads answers.
        case flooded
    }

    /// Nil where there is no memory.
    package init?(_ endpoint: TLSEndpoint, on socket: Socket) {
        self.endpoint = endpoint
        keyUpdatesEarnedTo = endpoint.worker.now
        wire = .allocate(capacity: 1)
        wire.initialize(to: chimera_wire())
        wire.pointee.outgoing = endpoint.outgoing
        wire.pointee.descriptor = socket.descriptor
        wire.pointee.readable = socket.isReadable
        wire.pointee.key_updates_left = Int32(Self.keyUpdatesMax)
        guard let made = chimera_tls_new(endpoint.context, endpoint.method, wire) else {
            wire.deallocate()
            return nil
        }
        ssl = made
        chimera_tls_set_owner(ssl, Unmanaged.passUnretained(self).toOpaque())
        socket.insert(self)
    }

    deinit {
        SSL_free(ssl)
        wire.deallocate()
    }

    // MARK: The handshake

    /// Who is asked for the site, once. Not kept alive, so it has to be there until the handshake is over.
    package func ask(_ chooser: any TLSSiteChooser) { self.chooser = chooser }

    /// How far a handshake is.
    package enum Step: Equatable {
        case waiting
        case done
        case failed(HandshakeFailure)
    }

    /// Goes on with the handshake as far as what came allows.
    package func handshake(on socket: Socket) -> Step {
        let status = chimera_tls_handshake(ssl)
        let failure = status == CHIMERA_TLS_FAILED ? reasonOfFailure : nil
        // With TLS 1.3 a ticket is all that is left to send: no client waits for that.
        if status == CHIMERA_TLS_DONE && isTLS13 { deferOutgoing() }
        let isSent = sendOutgoing(on: socket)
        if let failure {
            hasFailed = true
            return .failed(failure)
        }
        if !isSent { return .failed(.clientFailed) }
        guard status == CHIMERA_TLS_DONE else {
            socket.setReadable(wire.pointee.readable)
            return .waiting
        }
        isEstablished = true
        chooser = nil
        socket.setReadable(wire.pointee.readable || SSL_has_pending(ssl) == 1)
        return .done
    }

    private var reasonOfFailure: HandshakeFailure {
        let reason = chimera_tls_reason()
        if wire.pointee.plain { return .plainRequest }
        if wire.pointee.error != 0 { return .clientFailed }
        if isNameRefused { return .unknownName }
        if wire.pointee.ended && (reason == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            return .clientClosed
        }
        return HandshakeFailure(reason: reason)
    }

    /// - Returns: false where the handshake is refused.
    func chooseSite(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        isNameRefused = !choose(name)
        return !isNameRefused
    }

    private func choose(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        var small = name.map { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") ? $0 | 0x20 : $0 }
        if small.last == UInt8(ascii: ".") { small.removeLast() }
        // RFC 8446 §4.1.2: the second ClientHello is as the first.
        if site != nil { return small == serverName }
        serverName = small
        site = chooser?.site(forServerName: serverName)
        if let site { serverName = site.shared(serverName) }
        site?.greet(ssl)
        return site != nil
    }

    // MARK: What was agreed

    /// `TLSv1.3`
    package var version: StaticString { SSL_version(ssl) == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2" }

    package var isTLS13: Bool { SSL_version(ssl) == TLS1_3_VERSION }

    /// The session is one of an earlier connection.
    package var isResumed: Bool { SSL_session_reused(ssl) == 1 }

    /// Both sides chose HTTP/2 (RFC 9113 §3.2).
    package var speaksHTTP2: Bool {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &count)
        return UnsafeBufferPointer(start: name, count: Int(count)).elementsEqual("h2".utf8)
    }

    /// The subject of the certificate that the client showed and that was verified, as RFC 2253 writes it; empty where it
    /// has none.
    package var clientSubject: [UInt8] {
        if let subject { return subject }
        let made = chimera_tls_client_subject(ssl).flatMap(PEMText.text) ?? []
        subject = made
        return made
    }

    /// All of this together, for who keeps it.
    package var facts: TLSFacts {
        if let madeFacts { return madeFacts }
        let cipher = SSL_get_current_cipher(ssl).map { SSL_CIPHER_get_protocol_id($0) } ?? 0
        let made = TLSFacts(
            version: version, cipher: TLSFacts.cipherName(cipher), isResumed: isResumed,
            serverName: serverName, clientSubject: clientSubject)
        madeFacts = made
        return made
    }

    // MARK: SocketLayer

    package func becameReady(_ news: SocketNews, on socket: Socket) {
        if news.contains(.readable) { wire.pointee.readable = true }
        if news.contains(.closing) { wire.pointee.closing = true }
        if news.contains(.writable), unsent != nil && !isDeferred { _ = sendUnsent(on: socket) }
    }

    package func read(into room: UnsafeMutableRawBufferPointer, from socket: Socket) -> Transfer {
        if hasFailed { return .failed(EPROTO) }
        earnKeyUpdates()
        var count = 0
        var isFull = false
        let status = chimera_tls_read(ssl, wire, room.baseAddress, room.count, &count, &isFull)
        let error = wire.pointee.error
        if endpoint.outgoing.pointee.count > 0, !sendAnswers(on: socket) { return .failed(EPIPE) }
        let isFlooded = wire.pointee.flooded
        if count > 0 {
            // The peer's end, or what is wrong, is told at the next call.
            socket.setReadable(
                isFull || isFlooded || status == CHIMERA_TLS_END || status == CHIMERA_TLS_FAILED)
            return .bytes(count)
        }
        if isFlooded {
            hasFailed = true
            fault = .flooded
            return .failed(EPROTO)
        }
        switch status {
        case CHIMERA_TLS_END:
            socket.setReadable(true)
            return .end
        case CHIMERA_TLS_FAILED:
            hasFailed = true
            if error == 0 { fault = .broken }
            return .failed(error == 0 ? EPROTO : error)
        default:
            socket.setReadable(false)
            return .wouldBlock
        }
    }

    /// A part of a record has come, and nothing of what it stands for can be read before the rest is there.
    package var hasPartOfRecord: Bool { !hasFailed && chimera_tls_has_part(ssl) }

    /// Sends what reading put out. The peer decides how much that is, so it waits for the peer in small numbers only.
    ///
    /// - Returns: false where the connection is gone.
    private func sendAnswers(on socket: Socket) -> Bool {
        answerBytes = endpoint.outgoing.pointee.count + (unsent == nil ? 0 : answerBytes)
        guard sendOutgoing(on: socket) else { return false }
        if unsent != nil, answerBytes > Self.answerBytesMax { wire.pointee.flooded = true }
        return true
    }

    private func earnKeyUpdates() {
        guard wire.pointee.key_updates_left < Self.keyUpdatesMax else {
            // Nothing is put by beyond the first ones.
            keyUpdatesEarnedTo = endpoint.worker.now
            return
        }
        let earned = (endpoint.worker.now - keyUpdatesEarnedTo) / Self.keyUpdateMilliseconds
        guard earned > 0 else { return }
        keyUpdatesEarnedTo += earned * Self.keyUpdateMilliseconds
        let left = Int(wire.pointee.key_updates_left) + Int(clamping: earned)
        wire.pointee.key_updates_left = Int32(min(Self.keyUpdatesMax, left))
    }

    package func write(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, to socket: Socket
    ) -> Transfer {
        guard let begun = begin(first.count + second.count, on: socket) else { return broken }
        guard var done = begun.done else { return .wouldBlock }
        let total = first.count + second.count
        while done < total {
            let count: Int
            if done < first.count, second.count > 0 {
                // One record for a head and what follows it.
                count = gather(first.from(done), second, recordBytes)
                guard encrypt(UnsafeRawBufferPointer(rebasing: endpoint.scratch[..<count])) else {
                    return broken
                }
            } else {
                let rest = done < first.count ? first.from(done) : second.from(done - first.count)
                let chunk = UnsafeRawBufferPointer(rebasing: rest.prefix(TLSEndpoint.chunkBytes))
                count = chunk.count
                guard encrypt(chunk) else { return broken }
            }
            done += count
            // A short rest goes with what is there, not by itself.
            if done < total
                && (endpoint.outgoing.pointee.count < TLSEndpoint.chunkBytes
                    || total - done <= TLSEndpoint.restBytes)
            {
                continue
            }
            guard sendOutgoing(on: socket) else { return broken }
            if unsent != nil { return held(done) }
        }
        return .bytes(total)
    }

    package func sendFile(_ file: Int32, offset: Int64, count: Int, to socket: Socket) -> Transfer {
        guard let begun = begin(count, on: socket) else { return broken }
        guard var done = begun.done else { return .wouldBlock }
        while done < count {
            let wanted = min(count - done, TLSEndpoint.chunkBytes)
            let got = pread(file, endpoint.scratch.baseAddress, wanted, off_t(offset) + off_t(done))
            if got < 0 { return .failed(errno) }
            if got == 0 { return done == 0 ? .end : .bytes(done) }
            guard encrypt(UnsafeRawBufferPointer(rebasing: endpoint.scratch[..<got])),
                sendOutgoing(on: socket)
            else { return broken }
            done += got
            if unsent != nil { return held(done) }
        }
        return .bytes(count)
    }

    package func shutdownWrite(on socket: Socket) {
        guard isEstablished, !hasFailed, !hasEnded else { return socket.shutdownWire() }
        hasEnded = true
        chimera_tls_shutdown(ssl)
        if sendOutgoing(on: socket), unsent != nil {
            endsAfterUnsent = true
        } else {
            socket.shutdownWire()
        }
    }

    package func closing(_ socket: Socket) {
        chooser = nil
        guard isEstablished, !hasFailed, !hasEnded else { return }
        hasEnded = true
        chimera_tls_shutdown(ssl)
        _ = sendOutgoing(on: socket)
    }

    // MARK: Writing

    private var broken: Transfer { .failed(EPIPE) }

    private struct Begun {
        /// Nil where the write has to wait.
        var done: Int?
    }

    /// What a write of so many bytes has of them already; nil where the connection is broken.
    private func begin(_ count: Int, on socket: Socket) -> Begun? {
        guard isEstablished, !hasFailed, !hasEnded else { return nil }
        if unsent != nil && !isDeferred {
            guard sendUnsent(on: socket) else { return nil }
            if unsent != nil { return Begun(done: nil) }
        }
        let done = min(heldBack, count)
        heldBack -= done
        let now = endpoint.worker.now
        if now - wroteAt > Self.quietMilliseconds { burst = 0 }
        wroteAt = now
        return Begun(done: done)
    }

    /// So many bytes were encrypted, and not all of that is out.
    private func held(_ done: Int) -> Transfer {
        heldBack = 1
        return done > 1 ? .bytes(done - 1) : .wouldBlock
    }

    private var recordBytes: Int {
        burst < Self.burstBytes ? Self.smallRecordBytes : Self.recordBytesMax
    }

    private func encrypt(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let record = recordBytes
        burst += bytes.count
        guard chimera_tls_write(ssl, bytes.baseAddress, bytes.count, record) == CHIMERA_TLS_DONE else {
            hasFailed = true
            // The buffer is the worker's.
            endpoint.outgoing.pointee.count = 0
            return false
        }
        return true
    }

    /// Copies the beginning of both, one behind the other, into the scratch buffer.
    private func gather(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, _ limit: Int
    ) -> Int {
        let scratch = endpoint.scratch
        let head = min(first.count, scratch.count)
        scratch.copyMemory(from: UnsafeRawBufferPointer(rebasing: first.prefix(head)))
        guard head == first.count, head < limit else { return head }
        let rest = min(second.count, limit - head)
        UnsafeMutableRawBufferPointer(rebasing: scratch[head..<(head + rest)])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: second.prefix(rest)))
        return head + rest
    }

    /// Sends what OpenSSL put out, behind what waits already; the rest is kept.
    ///
    /// - Returns: false where the connection is gone.
    private func sendOutgoing(on socket: Socket) -> Bool {
        let outgoing = endpoint.outgoing
        let count = outgoing.pointee.count
        guard count > 0 else { return true }
        outgoing.pointee.count = 0
        let bytes = UnsafeRawBufferPointer(start: outgoing.pointee.bytes, count: count)
        if let unsent {
            unsent.append(bytes)
            return sendUnsent(on: socket)
        }
        var sent = 0
        switch socket.writeWire(bytes) {
        case .bytes(let some): sent = some
        case .wouldBlock: break
        case .end, .failed: return fail()
        }
        if sent < count {
            let rest = ByteBuffer(capacity: count - sent)
            rest.append(bytes.from(sent))
            unsent = rest
        }
        return true
    }

    /// Keeps what OpenSSL put out for the next time that something is sent.
    private func deferOutgoing() {
        let outgoing = endpoint.outgoing
        let count = outgoing.pointee.count
        guard count > 0, unsent == nil else { return }
        let kept = ByteBuffer(capacity: count)
        kept.append(UnsafeRawBufferPointer(start: outgoing.pointee.bytes, count: count))
        outgoing.pointee.count = 0
        unsent = kept
        isDeferred = true
    }

    private func sendUnsent(on socket: Socket) -> Bool {
        isDeferred = false
        guard let unsent else { return true }
        switch socket.writeWire(unsent.pending) {
        case .bytes(let some): unsent.consume(some)
        case .wouldBlock: return true
        case .end, .failed: return fail()
        }
        guard unsent.isEmpty else { return true }
        self.unsent = nil
        if endsAfterUnsent { socket.shutdownWire() }
        return true
    }

    private func fail() -> Bool {
        hasFailed = true
        unsent = nil
        return false
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func from(_ offset: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[offset...])
    }
}
