import COpenSSL
import ChimeraEventLoop
import ChimeraTLS
import ChimeraTestSupport
import Glibc
import Testing

@Suite struct ConnectionTests {
    private static func site(
        _ endpoint: TLSEndpoint, host: String = "a.test", identity: String = "a",
        tickets: TicketSecret = TicketSecret(now: 1_000_000)
    ) throws -> TLSSite {
        let text = try Texts.pair(host)
        let certificate = try ServerCertificate(chain: text.chain, key: text.key, library: endpoint.library)
        return TLSSite(certificates: .fixed([certificate]), identity: Array(identity.utf8), tickets: tickets)
    }

    private static func expected(_ count: Int) -> [UInt8] { (0..<count).map(Client.byte) }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `what a client writes is read whole, and the server's answer too`(version: Int32) async throws {
        let (ours, theirs) = try socketPair()
        let client = Client(theirs, host: "A.test.", version: version, [.write(100_000), .read(50_000)])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .done)
            #expect(server.asked == Array("a.test".utf8))
            #expect(server.tls.isTLS13 == (version == TLS1_3_VERSION))
            #expect(await server.read(100_000).bytes == Self.expected(100_000))
            #expect(await server.write(Self.expected(50_000), first: 200, chunk: 50_000))
            server.socket.close()
        }
        let outcome = client.finished()
        #expect(outcome.isConnected)
        #expect(outcome.received == Self.expected(50_000))
    }

    @Test(arguments: [1, 100, 16_384, 300_000])
    func `a client that reads slowly gets every byte once`(first: Int) async throws {
        let (ours, theirs) = try socketPair()
        let count = 2_000_000
        let client = Client(
            theirs, host: "a.test", [.sleep(50), .read(count / 2), .sleep(20), .read(count / 2)])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .done)
            #expect(await server.write(Self.expected(count), first: first, chunk: 500_000))
            server.socket.close()
        }
        #expect(client.finished().received == Self.expected(count))
    }

    @Test(arguments: [1, 7, 4_096])
    func `a small room for reading loses nothing and stays readable while something is left`(
        room: Int
    ) async throws {
        let (ours, theirs) = try socketPair()
        let client = Client(theirs, host: "a.test", [.write(20_000), .shutdown, .readEnd])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .done)
            let (bytes, last) = await server.read(.max, room: room)
            #expect(bytes == Self.expected(20_000))
            #expect(last == .end)
            server.socket.shutdownWrite()
            server.socket.close()
        }
        #expect(client.finished().sawEnd)
    }

    @Test func `a client that leaves without a word has ended its side`() async throws {
        let (ours, theirs) = try socketPair()
        // With TLS 1.3 it would leave a ticket unread, and the kernel would say that.
        let client = Client(theirs, host: "a.test", version: TLS1_2_VERSION, [.write(10)])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .done)
            let (bytes, last) = await server.read(.max)
            #expect(bytes == Self.expected(10))
            #expect(last == .end)
            server.socket.close()
        }
        #expect(client.finished().isConnected)
    }

    @Test func `a handshake without a site is refused by name`() async throws {
        let (ours, theirs) = try socketPair()
        let client = Client(theirs, host: "none.test", [])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: nil)
            #expect(await server.handshake() == .failed(.unknownName))
            server.socket.close()
        }
        #expect(!client.finished().isConnected)
    }

    @Test(arguments: [
        ("b.test", "b.test"), ("a.test", "a.test"), ("x.a.test", "*.a.test"), ("y.a.test", "y.a.test"),
        ("none.test", "*.a.test"),
    ])
    func `of certificates of one kind of key the one for the name is shown`(
        host: String, shown: String
    ) async throws {
        let (ours, theirs) = try socketPair()
        let client = Client(theirs, host: host, [])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let certificates = try ["*.a.test", "a.test", "b.test", "y.a.test"].map { name in
                let text = try Texts.pair(name)
                return try ServerCertificate(chain: text.chain, key: text.key, library: endpoint.library)
            }
            let site = TLSSite(
                certificates: .fixed(certificates), identity: [1], tickets: TicketSecret(now: 1_000_000))
            let server = try Server(ours, endpoint, worker, site: site)
            #expect(await server.handshake() == .done)
            server.socket.close()
        }
        #expect(client.finished().serverSubject == shown)
    }

    @Test func `that a certificate of ours is not used is no fault of the client`() async throws {
        let (ours, theirs) = try socketPair()
        let client = Client(theirs, host: "a.test", [])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let text = try Texts.pair("a.test", rsaBits: 1_024)
            let weak = try ServerCertificate(chain: text.chain, key: text.key, library: endpoint.library)
            let site = TLSSite(
                certificates: .fixed([weak]), identity: [1], tickets: TicketSecret(now: 1_000_000))
            let server = try Server(ours, endpoint, worker, site: site)
            #expect(await server.handshake() == .failed(.unavailable))
            server.socket.close()
        }
        #expect(!client.finished().isConnected)
    }

    /// RFC 8446 §4.1.2: the second ClientHello is as the first.
    @Test func `a client that has to try another group is asked for its name once`() async throws {
        let (ours, theirs) = try socketPair()
        let client = Client(theirs, host: "a.test", habit: .isAskedAgain, [.write(10)])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .done)
            #expect(server.timesAsked == 1)
            #expect(await server.read(10).bytes == Self.expected(10))
            server.socket.close()
        }
        #expect(client.finished().isConnected)
    }

    @Test func `a client that asks for another site when it tries again is refused`() async throws {
        let (ours, theirs) = try socketPair()
        let client = Client(theirs, host: "a.test", habit: .isAskedAgainAndChanges, [])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .failed(.unknownName))
            #expect(server.asked == Array("a.test".utf8) && server.timesAsked == 1)
            server.socket.close()
        }
        #expect(!client.finished().isConnected)
    }

    /// RFC 8446 §4.6.3: each has keys derived, and asks for another of ours.
    @Test(arguments: [(30, false), (1_000, true)])
    func `keys may be renewed now and then, and not for ever`(count: Int, isFlood: Bool) async throws {
        let (ours, theirs) = try socketPair()
        let client = Client(theirs, host: "a.test", [.write(10), .updateKeys(count), .write(10), .read(1)])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .done)
            let (bytes, last) = await server.read(20)
            #expect(bytes == Self.expected(isFlood ? 10 : 20))
            #expect(last == (isFlood ? .failed(EPROTO) : .wouldBlock))
            #expect(server.tls.fault == (isFlood ? .flooded : nil))
            if !isFlood { #expect(await server.write([0], first: 1, chunk: 1)) }
            server.socket.close()
        }
        #expect(client.finished().isConnected)
    }

    /// All of them are there when the server begins to read.
    @Test(arguments: [(32, Transfer.end, nil), (33, .failed(EPROTO), TLSConnection.Fault.flooded)])
    func `a client has new keys so many times at once`(
        count: Int, end: Transfer, fault: TLSConnection.Fault?
    ) async throws {
        let (ours, theirs) = try socketPair()
        let client = Client(theirs, host: "a.test", [.updateOwnKeys(count)])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .done)
            #expect(client.finished().isConnected)
            #expect(await server.read(1).last == end)
            #expect(server.tls.fault == fault)
            server.socket.close()
        }
    }

    @Test func `what is spent of new keys comes back second by second, not at once`() async throws {
        let (ours, theirs) = try socketPair()
        let client = Client(
            theirs, host: "a.test", [.updateOwnKeys(32), .write(1), .updateOwnKeys(32)])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .done)
            let (bytes, last) = await server.read(2, room: 1)
            #expect(bytes == Self.expected(1))
            #expect(last == .failed(EPROTO))
            #expect(server.tls.fault == .flooded)
            server.socket.close()
        }
        #expect(client.finished().isConnected)
    }

    @Test func `the first renegotiation ends a connection`() async throws {
        let (ours, theirs) = try socketPair()
        let client = Client(
            theirs, host: "a.test", version: TLS1_2_VERSION, [.write(10), .renegotiate, .write(10)])
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .done)
            let (bytes, last) = await server.read(20)
            #expect(bytes == Self.expected(10))
            #expect(last == .failed(EPROTO))
            #expect(server.tls.fault == .flooded)
            server.socket.close()
        }
        #expect(client.finished().isConnected)
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\n\r\n", HandshakeFailure.plainRequest), ("PRI * HTTP/2.0\r\n\r\n", .plainRequest),
        ("\u{16}\u{3}\u{1}\u{0}\u{5}hello", .malformed), ("\u{0}\u{1}\u{2}\u{3}\u{4}\u{5}", .malformed),
        ("", .clientClosed), ("\u{16}\u{3}", .clientClosed),
    ])
    func `what is no handshake fails for its reason`(sent: String, failure: HandshakeFailure) async throws {
        let (ours, theirs) = try socketPair()
        let bytes = Array(sent.utf8)
        _ = Glibc.write(theirs, bytes, bytes.count)
        shutdown(theirs, Int32(SHUT_WR))
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .failed(failure))
            server.socket.close()
        }
        close(theirs)
    }

    @Test func `a file is sent through the layer as well`() async throws {
        let (ours, theirs) = try socketPair()
        let count = 700_000
        let client = Client(theirs, host: "a.test", [.sleep(20), .read(count - 1_000)])
        var path = Array("/tmp/chimera-tls-XXXXXX\0".utf8.map(CChar.init))
        let file = mkstemp(&path)
        unlink(path)
        let content = Self.expected(count)
        #expect(Glibc.write(file, content, count) == count)
        try await onWorker { worker in
            let endpoint = try #require(TLSEndpoint(on: worker))
            let server = try Server(ours, endpoint, worker, site: Self.site(endpoint))
            #expect(await server.handshake() == .done)
            var sent = 1_000
            while sent < count {
                switch server.socket.sendFile(file, offset: Int64(sent), count: count - sent) {
                case .bytes(let some):
                    sent += some
                    if sent < count && !server.socket.isWritable { _ = await server.scope.wait() }
                case .wouldBlock: _ = await server.scope.wait()
                case let end:
                    Issue.record("\(end)")
                    sent = count
                }
            }
            #expect(server.socket.sendFile(file, offset: Int64(count), count: 10) == .end)
            server.socket.close()
        }
        close(file)
        #expect(client.finished().received == Array(content[1_000...]))
    }
}
