import COpenSSL
import Glibc
import Testing

@testable import ChimeraTLS

/// What clients may take amiss of a chain that OpenSSL uses.
@Suite(.serialized) struct ChainTests {
    private typealias Doubt = ServerCertificate.Doubt

    private static let authority = [(NID_basic_constraints, "critical,CA:TRUE")]

    private static func doubts(_ leaf: Issuer, _ others: [Issuer]) throws -> [Doubt] {
        try ServerCertificate(chain: leaf.text + others.flatMap(\.text), key: leaf.keyText).doubts
    }

    @Test func `a chain in order raises none, with and without its root`() throws {
        let root = try Issuer("root", Self.authority)
        let middle = try Issuer("middle", by: root, Self.authority)
        let leaf = try Issuer("a.test", by: middle)
        #expect(try Self.doubts(leaf, [middle]) == [])
        #expect(try Self.doubts(leaf, [middle, root]) == [])
        #expect(try Self.doubts(leaf, []) == [])
        #expect(try Self.doubts(try Issuer("b.test"), []) == [])
    }

    @Test func `a certificate that did not sign the one before it is named`() throws {
        let root = try Issuer("root", Self.authority)
        let middle = try Issuer("middle", by: root, Self.authority)
        let leaf = try Issuer("a.test", by: middle)
        #expect(try Self.doubts(leaf, [root]) == [.outOfOrder(2)])
        #expect(try Self.doubts(leaf, [root, middle]) == [.outOfOrder(2), .outOfOrder(3)])
        // A certificate of that name that may sign none.
        let other = try Issuer("middle", [(NID_key_usage, "critical,digitalSignature")])
        #expect(try Self.doubts(leaf, [other]) == [.outOfOrder(2)])
    }

    @Test func `the times of all count`() throws {
        let root = try Issuer("root", Self.authority)
        let old = try Issuer("middle", by: root, begins: -7_200, ends: -3_600, Self.authority)
        #expect(try Self.doubts(try Issuer("a.test", by: old), [old]) == [.expired(2)])
        let early = try Issuer("a.test", begins: 3_600)
        #expect(try Self.doubts(early, []) == [.early(1)])
    }

    @Test func `a certificate alone that says where its signer is to be had lacks it`() throws {
        let root = try Issuer("root", Self.authority)
        let places = [(NID_info_access, "caIssuers;URI:http://root.test/root.der")]
        let leaf = try Issuer("a.test", by: root, places)
        #expect(try Self.doubts(leaf, []) == [.alone])
        #expect(try Self.doubts(leaf, [root]) == [])
        let answered = try Issuer("a.test", by: root, [(NID_info_access, "OCSP;URI:http://root.test/ocsp")])
        #expect(try Self.doubts(answered, []) == [])
    }

    @Test(
        arguments: [
            (nil, true), ("serverAuth", true), ("clientAuth,serverAuth", true), ("anyExtendedKeyUsage", true),
            ("clientAuth", false), ("codeSigning,emailProtection", false),
        ] as [(String?, Bool)])
    func `a certificate is for servers where its extended key usage says so, or nothing`(
        usage: String?, isRight: Bool
    ) throws {
        let leaf = try Issuer("a.test", usage.map { [(NID_ext_key_usage, $0)] } ?? [])
        #expect(try Self.doubts(leaf, []) == (isRight ? [] : [.notForServers]))
    }
}

/// OCSP responses beside their certificates.
@Suite(.serialized) struct OCSPResponseTests {
    private static func certificate(
        _ leaf: Issuer, _ status: [UInt8], by issuer: Issuer? = nil
    ) throws -> ServerCertificate {
        try ServerCertificate(chain: leaf.text + (issuer?.text ?? []), key: leaf.keyText, status: status)
    }

    private static var now: Int64 { Int64(time(nil)) }

    @Test func `one that is right is sent for as long as it says`() throws {
        let root = try Issuer("root")
        let leaf = try Issuer("a.test", by: root)
        for digest in [EVP_sha1(), EVP_sha256()] {
            let bytes = try root.response(about: leaf, until: 3_600, digest: digest)
            let status = try #require(Self.certificate(leaf, bytes).status)
            #expect(status.bytes == bytes && status.doubt == nil)
            #expect(status.isUsable(at: Self.now) && !status.isUsable(at: Self.now + 4_000))
            #expect(!status.isUsable(at: Self.now - 4_000))
        }
        let endless = try root.response(about: leaf, until: nil)
        #expect(try #require(Self.certificate(leaf, endless).status).isUsable(at: Self.now + 1_000_000))
    }

    @Test func `what clients could not use is not sent, and said`() throws {
        let root = try Issuer("root")
        let (leaf, other) = (try Issuer("a.test", by: root), try Issuer("b.test", by: root))
        let cases: [([UInt8], String)] = [
            (try root.response(about: leaf, since: -7_200, until: -3_600), "has expired"),
            (try root.response(about: leaf, since: 3_600, until: 7_200), "is of a later time"),
            (try root.response(about: other), "is about another certificate"),
            (try Issuer("elsewhere").response(about: other), "is about another certificate"),
            (try Issuer.failure(), "the authority gave no answer"),
        ]
        for (bytes, words) in cases {
            let status = try #require(Self.certificate(leaf, bytes).status)
            #expect(!status.isUsable(at: Self.now))
            #expect(status.doubt?.contains(words) == true && status.doubt?.hasSuffix("not sent") == true)
        }
    }

    @Test func `where the chain has the issuer, its key counts as well`() throws {
        let root = try Issuer("root")
        let leaf = try Issuer("a.test", by: root)
        // By the name of the leaf's issuer and another key, as of an authority that has a new one.
        let stray = try Issuer("root").response(about: leaf)
        #expect(
            try #require(Self.certificate(leaf, stray, by: root).status).doubt?.contains("another") == true)
        #expect(try #require(Self.certificate(leaf, stray).status).doubt == nil)
        let right = try root.response(about: leaf)
        #expect(try #require(Self.certificate(leaf, right, by: root).status).doubt == nil)
    }

    @Test(arguments: [
        (V_OCSP_CERTSTATUS_REVOKED, "says that the certificate is revoked"),
        (V_OCSP_CERTSTATUS_UNKNOWN, "says that the authority does not know the certificate"),
    ])
    func `bad news is told, and sent`(kind: Int32, words: String) throws {
        let root = try Issuer("root")
        let leaf = try Issuer("a.test", by: root)
        let bytes = try root.response(about: leaf, status: kind)
        let status = try #require(Self.certificate(leaf, bytes).status)
        #expect(status.isUsable(at: Self.now))
        #expect(status.doubt == words)
    }

    @Test func `what is no response is refused`() throws {
        let root = try Issuer("root")
        let leaf = try Issuer("a.test", by: root)
        let right = try root.response(about: leaf)
        for bytes in [[], Array("none".utf8), leaf.text, Array(right.dropLast()), right + [0], right + right]
        {
            #expect(throws: CertificateFault.badStatus) { try Self.certificate(leaf, bytes) }
        }
        #expect(CertificateFault.badStatus.file == .status)
    }

    @Test(arguments: 0..<200)
    func `a damaged one is refused or taken, and nothing else`(seed: Int) throws {
        var generator = SeededBytes(state: UInt64(seed))
        let root = try Issuer("root")
        let leaf = try Issuer("a.test", by: root)
        var bytes = try root.response(about: leaf)
        for _ in 0..<3 { bytes[generator.next(bytes.count)] = UInt8(generator.next(256)) }
        if seed % 2 == 0 { bytes.removeLast(generator.next(bytes.count)) }
        do throws(CertificateFault) {
            let made = try ServerCertificate(chain: leaf.text, key: leaf.keyText, status: bytes)
            #expect(made.status?.bytes == bytes)
        } catch {
            #expect(error == .badStatus)
        }
    }
}
