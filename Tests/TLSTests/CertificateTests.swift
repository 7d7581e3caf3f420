import ChimeraTLS
import Testing

@Suite struct CertificateTests {
    private static func fault(_ chain: [UInt8], _ key: [UInt8]) -> CertificateFault? {
        do throws(CertificateFault) {
            _ = try ServerCertificate(chain: chain, key: key)
            return nil
        } catch {
            return error
        }
    }

    @Test func `a chain and its key are taken`() throws {
        let text = try Texts.pair("a.test")
        let other = try Texts.pair("b.test")
        #expect(Self.fault(text.chain, text.key) == nil)
        #expect(Self.fault(text.chain + other.chain, text.key) == nil)
        // Both in one file, as some tools write them.
        #expect(Self.fault(text.key + text.chain, text.chain + text.key) == nil)
    }

    @Test func `what is wrong is told apart`() throws {
        let text = try Texts.pair("a.test")
        let other = try Texts.pair("b.test")
        #expect(Self.fault([], text.key) == .noCertificate)
        #expect(Self.fault(text.key, text.key) == .noCertificate)
        #expect(Self.fault(text.chain, []) == .noKey)
        #expect(Self.fault(text.chain, text.chain) == .noKey)
        #expect(Self.fault(text.chain, other.key) == .keyMismatch)
        #expect(Self.fault((0..<40).flatMap { _ in text.chain }, text.key) == .tooManyCertificates)
        let broken = Array("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".utf8)
        guard case .badCertificate(2, _) = Self.fault(text.chain + broken, text.key) else {
            Issue.record("a broken second certificate was taken")
            return
        }
        let key = Array("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".utf8)
        guard case .badKey = Self.fault(text.chain, key) else {
            Issue.record("a broken key was taken")
            return
        }
        let locked = Array(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n".utf8)
        #expect(Self.fault(text.chain, locked) == .encryptedKey)
    }

    @Test(arguments: 0..<60)
    func `a damaged text is refused or taken, and nothing else`(seed: Int) throws {
        var generator = SeededBytes(state: UInt64(seed))
        let text = try Texts.pair("a.test")
        var chain = text.chain
        var key = text.key
        for _ in 0..<3 {
            chain[generator.next(chain.count)] = UInt8(generator.next(256))
            key[generator.next(key.count)] = UInt8(generator.next(256))
        }
        chain.removeLast(generator.next(40))
        let outcome = Self.fault(chain, key)
        #expect(outcome.map { !$0.reason.isEmpty } ?? true)
    }

    @Test func `a certificate covers its own names`() throws {
        let plain = try Texts.pair("a.test")
        let wild = try Texts.pair("*.a.test")
        let first = try ServerCertificate(chain: plain.chain, key: plain.key)
        let second = try ServerCertificate(chain: wild.chain, key: wild.key)
        #expect(first.covers("a.test") && !first.covers("b.test") && !first.covers("*.test"))
        #expect(second.covers("*.a.test") && second.covers("x.a.test") && !second.covers("a.test"))
    }

    @Test func `a common name alone covers no host`() throws {
        let text = try Texts.pair("a.test", isNamed: false)
        #expect(try !ServerCertificate(chain: text.chain, key: text.key).covers("a.test"))
    }

    @Test func `a key that OpenSSL holds for too short is refused, and a longer one taken`() throws {
        let short = try Texts.pair("a.test", rsaBits: 1_024)
        let weak = try ServerCertificate(chain: short.chain, key: short.key)
        #expect(throws: CertificateFault.unusable("ee key too small")) { try weak.tryOut() }
        let long = try Texts.pair("a.test", rsaBits: 2_048)
        #expect(throws: Never.self) { try ServerCertificate(chain: long.chain, key: long.key).tryOut() }
    }

    @Test func `OpenSSL's state is there for as long as a certificate of it`() throws {
        let text = try Texts.pair("a.test")
        weak var library: CryptoLibrary?
        var certificate: ServerCertificate?
        var clients: ClientTrust?
        do {
            let made = try #require(CryptoLibrary())
            library = made
            certificate = try ServerCertificate(chain: text.chain, key: text.key, library: made)
            clients = try ClientTrust(authorities: text.chain, isRequired: true, library: made)
        }
        #expect(library != nil && certificate != nil && clients != nil)
        certificate = nil
        #expect(library != nil)
        clients = nil
        #expect(library == nil)
    }

    @Test func `the time that is left is told`() throws {
        let text = try Texts.pair("a.test", secondsLeft: 1_000)
        let expired = try Texts.pair("a.test", secondsLeft: -1_000)
        let left = try ServerCertificate(chain: text.chain, key: text.key).secondsLeft
        #expect((900...1_000).contains(left))
        #expect(try ServerCertificate(chain: expired.chain, key: expired.key).secondsLeft < 0)
    }
}

/// The same bytes for the same seed.
struct SeededBytes {
    var state: UInt64

    mutating func next(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
    }
}
