import COpenSSL
import ChimeraEventLoop
import ChimeraTLS
import ChimeraTestSupport
import Glibc
import Testing

/// Texts of certificates and keys, made once.
enum Texts {
    /// A certificate that signs itself, with its key; `chimera_make_key` and what follows are what `openssl req` does.
    ///
    /// - Parameters:
    ///   - rsaBits: nil for a key on P-256.
    ///   - isNamed: whether the host is an alternative name, beside the common name.
    static func pair(
        _ host: String, secondsLeft: Int = 86_400, rsaBits: Int32? = nil, isNamed: Bool = true
    ) throws -> (chain: [UInt8], key: [UInt8]) {
        let key = try #require(rsaBits.map(rsaKey) ?? chimera_make_key(nil))
        let certificate = try #require(X509_new())
        defer {
            EVP_PKEY_free(key)
            X509_free(certificate)
        }
        X509_set_version(certificate, 2)
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7)
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3_600)
        X509_gmtime_adj(X509_getm_notAfter(certificate), secondsLeft)
        X509_set_pubkey(certificate, key)
        let name = X509_get_subject_name(certificate)
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, Array(host.utf8), Int32(host.utf8.count), -1, 0)
        X509_set_issuer_name(certificate, name)
        if isNamed {
            #expect(chimera_add_extension(certificate, certificate, NID_subject_alt_name, "DNS:\(host)"))
        }
        #expect(X509_sign(certificate, key, EVP_sha256()) > 0)
        return (try text(chimera_pem_of_certificate(certificate)), try text(chimera_pem_of_key(key)))
    }

    private static func rsaKey(_ bits: Int32) -> OpaquePointer? {
        let context = EVP_PKEY_CTX_new_from_name(nil, "RSA", nil)
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        EVP_PKEY_keygen_init(context)
        EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits)
        EVP_PKEY_keygen(context, &key)
        return key
    }

    static func text(_ bio: OpaquePointer?) throws -> [UInt8] {
        let bio = try #require(bio)
        defer { BIO_free(bio) }
        var bytes: UnsafePointer<CChar>?
        let count = chimera_bio_bytes(bio, &bytes)
        let start = try #require(bytes)
        return (0..<count).map { UInt8(bitPattern: start[$0]) }
    }
}

/// A client of OpenSSL's own, on a blocking socket and a thread of its own.
final class Client: Sendable {
    enum Step: Sendable {
        case write(Int)
        case read(Int)
        /// Reads a byte only after so many milliseconds, so that the server's socket is full.
        case sleep(Int)
        case shutdown
        case readEnd
        /// Has new keys for both directions (RFC 8446 §4.6.3), so many times.
        case updateKeys(Int)
        /// Has new keys for its own direction alone, which nobody answers.
        case updateOwnKeys(Int)
        /// Begins another handshake (TLS 1.2).
        case renegotiate
    }

    /// What else a client does.
    enum Habit: Sendable {
        case none
        /// Guesses a group that no server of ours has, and is asked again.
        case isAskedAgain
        /// The same, and it names `b.test` then.
        case isAskedAgainAndChanges
    }

    struct Outcome: Sendable {
        var isConnected = false
        var isResumed = false
        var received: [UInt8] = []
        var sawEnd = false
        /// The common name of the server's certificate.
        var serverSubject = ""
    }

    private let done = Latch()
    private let outcome = Shared(Outcome())

    /// Byte number `index` of what either side sends.
    static func byte(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: index &* 31 &+ index >> 8) }

    init(
        _ descriptor: Int32, host: String, version: Int32 = TLS1_3_VERSION, habit: Habit = .none,
        _ steps: [Step]
    ) {
        // A server that has given up takes no more.
        signal(SIGPIPE, SIG_IGN)
        _ = Thread.start(name: "test-client") { [self] in
            outcome.change { $0 = Self.run(descriptor, host, version, habit, steps) }
            close(descriptor)
            done.open()
        }
    }

    func finished() -> Outcome {
        #expect(done.wait(milliseconds: 20_000), "the client does not end")
        return outcome.value
    }

    private static func name(_ host: String, _ ssl: OpaquePointer?) {
        var name = host.utf8CString
        name.withUnsafeMutableBytes {
            _ = SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, $0.baseAddress)
        }
    }

    private static func subject(_ ssl: OpaquePointer) -> String {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return "" }
        defer { X509_free(certificate) }
        var room = [CChar](repeating: 0, count: 256)
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, &room, 256)
        return String(decoding: room.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private static func take(_ habit: Habit, _ ssl: OpaquePointer) {
        if case .none = habit { return }
        var groups = "P-521:P-256".utf8CString
        groups.withUnsafeMutableBytes { _ = SSL_ctrl(ssl, SSL_CTRL_SET_GROUPS_LIST, 0, $0.baseAddress) }
        guard case .isAskedAgainAndChanges = habit else { return }
        SSL_set_msg_callback(ssl) { isSent, _, type, bytes, count, ssl, _ in
            let isServerHello =
                isSent == 0 && type == SSL3_RT_HANDSHAKE && count > 0
                && bytes?.load(as: UInt8.self) == UInt8(SSL3_MT_SERVER_HELLO)
            if isServerHello { Client.name("b.test", ssl) }
        }
    }

    private static func run(
        _ descriptor: Int32, _ host: String, _ version: Int32, _ habit: Habit, _ steps: [Step]
    ) -> Outcome {
        var outcome = Outcome()
        guard let context = SSL_CTX_new(TLS_client_method()) else { return outcome }
        defer { SSL_CTX_free(context) }
        guard let ssl = SSL_new(context) else { return outcome }
        defer { SSL_free(ssl) }
        SSL_ctrl(ssl, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(version), nil)
        SSL_ctrl(ssl, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(version), nil)
        name(host, ssl)
        take(habit, ssl)
        SSL_set_fd(ssl, descriptor)
        outcome.isConnected = SSL_connect(ssl) == 1
        guard outcome.isConnected else { return outcome }
        outcome.serverSubject = subject(ssl)
        var written = 0
        for step in steps {
            switch step {
            case .write(let count):
                let bytes = (written..<(written + count)).map(byte)
                written += count
                if SSL_write(ssl, bytes, Int32(count)) <= 0 { return outcome }
            case .read(let count):
                let wanted = outcome.received.count + count
                while outcome.received.count < wanted {
                    var room = [UInt8](repeating: 0, count: min(70_000, wanted - outcome.received.count))
                    let got = SSL_read(ssl, &room, Int32(room.count))
                    if got <= 0 { return outcome }
                    outcome.received += room[..<Int(got)]
                }
            case .sleep(let milliseconds): usleep(UInt32(milliseconds * 1_000))
            case .shutdown: SSL_shutdown(ssl)
            case .updateKeys(let count):
                for _ in 0..<count {
                    SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED)
                    if SSL_do_handshake(ssl) != 1 { return outcome }
                }
            case .updateOwnKeys(let count):
                for _ in 0..<count {
                    SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED)
                    if SSL_do_handshake(ssl) != 1 { return outcome }
                }
            case .renegotiate:
                SSL_renegotiate(ssl)
                SSL_do_handshake(ssl)
            case .readEnd:
                var byte: UInt8 = 0
                let got = SSL_read(ssl, &byte, 1)
                outcome.sawEnd = got == 0 && SSL_get_error(ssl, got) == SSL_ERROR_ZERO_RETURN
            }
        }
        return outcome
    }
}

/// A server's end on a worker: what reads and writes, one call at a time.
final class Server: SocketObserver, TLSSiteChooser {
    let socket: Socket
    let tls: TLSConnection
    let scope = Scope()
    var site: TLSSite?
    var asked: [UInt8]?
    var timesAsked = 0

    init(_ descriptor: Int32, _ endpoint: TLSEndpoint, _ worker: Worker, site: TLSSite?) throws {
        socket = try Socket(descriptor, on: worker)
        tls = try #require(TLSConnection(endpoint, on: socket))
        self.site = site
        tls.ask(self)
        socket.observe(self)
    }

    func socketReady(_ socket: Socket) { scope.wake(.io) }

    func site(forServerName serverName: [UInt8]) -> TLSSite? {
        asked = serverName
        timesAsked += 1
        return site
    }

    func handshake() async -> TLSConnection.Step {
        while true {
            let step = tls.handshake(on: socket)
            if step != .waiting { return step }
            _ = await scope.wait()
        }
    }

    /// Reads until the end or so many bytes.
    func read(_ count: Int, room: Int = 70_000) async -> (bytes: [UInt8], last: Transfer) {
        var bytes: [UInt8] = []
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
        defer { buffer.deallocate() }
        while true {
            if bytes.count >= count { return (bytes, .wouldBlock) }
            if !socket.isReadable { _ = await scope.wait() }
            switch socket.read(into: buffer) {
            case .bytes(let some): bytes += buffer[..<some]
            case .wouldBlock: _ = await scope.wait()
            case let end: return (bytes, end)
            }
        }
    }

    /// Writes all bytes as who uses a plain socket does: what was not taken is written again, in pieces of two runs.
    func write(_ bytes: [UInt8], first: Int, chunk: Int) async -> Bool {
        var sent = 0
        while sent < bytes.count {
            let end = min(bytes.count, sent + chunk)
            let split = min(end, sent + first)
            let outcome = bytes.withUnsafeBytes { raw in
                socket.write(
                    UnsafeRawBufferPointer(rebasing: raw[sent..<split]),
                    UnsafeRawBufferPointer(rebasing: raw[split..<end]))
            }
            switch outcome {
            case .bytes(let count):
                sent += count
                if count < end - (sent - count) && !socket.isWritable { _ = await scope.wait() }
            case .wouldBlock: _ = await scope.wait()
            case .end, .failed: return false
            }
        }
        return true
    }
}

func socketPair() throws -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    return (ends[0], ends[1])
}
