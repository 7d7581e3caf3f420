import Glibc
import Testing

@testable import ChimeraTLS

@Suite struct AuthorityTests {
    private let directory = "/tmp/chimera-authority-\(getpid())-\(UInt32.random(in: 0 ... .max))"

    private func withDirectory(_ body: () throws -> Void) throws {
        defer {
            for name in ["authority.key", "authority.pem"] { unlink(directory + "/tls/" + name) }
            rmdir(directory + "/tls")
            rmdir(directory)
        }
        try body()
    }

    @Test func `it is made once, for its owner alone, and found again`() throws {
        try withDirectory {
            #expect(try LocalAuthority.kept(in: directory + "/tls") == nil)
            let made = try LocalAuthority.keptOrMade(in: directory + "/tls", name: "test")
            #expect(try LocalAuthority.keptOrMade(in: directory + "/tls", name: "other") == made)
            #expect(try LocalAuthority.kept(in: directory + "/tls") == made)
            var status = stat()
            #expect(stat(directory + "/tls/authority.key", &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
            #expect(stat(directory + "/tls", &status) == 0)
            #expect(status.st_mode & 0o777 == 0o700)
        }
    }

    @Test func `its certificate is read without the key, and written again where it is gone`() throws {
        try withDirectory {
            #expect(try LocalAuthority.keptCertificate(in: directory + "/tls") == nil)
            let made = try LocalAuthority.keptOrMade(in: directory + "/tls", name: "test")
            #expect(try LocalAuthority.keptCertificate(in: directory + "/tls") == made.certificate)
            let file = open(directory + "/tls/authority.pem", O_WRONLY | O_TRUNC)
            #expect(write(file, "none", 4) == 4)
            close(file)
            #expect(throws: LocalAuthority.Failure.self) {
                try LocalAuthority.keptCertificate(in: directory + "/tls")
            }
            #expect(try LocalAuthority.keptOrMade(in: directory + "/tls", name: "test") == made)
            #expect(try LocalAuthority.keptCertificate(in: directory + "/tls") == made.certificate)
            unlink(directory + "/tls/authority.pem")
            #expect(try LocalAuthority.keptOrMade(in: directory + "/tls", name: "test") == made)
            #expect(try LocalAuthority.keptCertificate(in: directory + "/tls") == made.certificate)
        }
    }

    @Test func `the certificate is for everybody who may enter, and its key need not be there`() throws {
        try withDirectory {
            let made = try LocalAuthority.keptOrMade(in: directory + "/tls", name: "test")
            unlink(directory + "/tls/authority.key")
            #expect(try LocalAuthority.keptCertificate(in: directory + "/tls") == made.certificate)
        }
    }

    @Test func `it is made with the directories above it`() throws {
        try withDirectory {
            let made = try LocalAuthority.keptOrMade(in: directory + "/a/b/tls", name: "test")
            #expect(try LocalAuthority.kept(in: directory + "/a/b/tls") == made)
        }
    }

    @Test func `a damaged one is refused and not replaced`() throws {
        try withDirectory {
            _ = try LocalAuthority.keptOrMade(in: directory + "/tls", name: "test")
            let file = open(directory + "/tls/authority.key", O_WRONLY | O_TRUNC)
            #expect(write(file, "none", 4) == 4)
            close(file)
            #expect(throws: LocalAuthority.Failure.self) {
                try LocalAuthority.keptOrMade(in: directory + "/tls", name: "test")
            }
        }
    }

    @Test(arguments: ["a.test", "x_1.example-host.test", "xn--bcher-kva.example"])
    func `a name gets a certificate of its own`(name: String) throws {
        let issuer = try #require(LocalIssuer(try LocalAuthority(name: "test")))
        let certificate = try #require(issuer.certificate(for: Array(name.utf8)))
        #expect(certificate.covers(name))
        #expect(!certificate.covers("other.test"))
        #expect(certificate.secondsLeft > 20 * 86_400)
        #expect(issuer.certificate(for: Array(name.utf8)) === certificate)
    }

    @Test(arguments: ["a,DNS:b.test", "a b", "A.test", "a:b", String(repeating: "a", count: 300), "a\0b"])
    func `what is no host gets none`(name: String) throws {
        let issuer = try #require(LocalIssuer(try LocalAuthority(name: "test")))
        #expect(issuer.certificate(for: Array(name.utf8)) == nil)
    }

    @Test func `who asks for no name gets the machine's own`() throws {
        let issuer = try #require(LocalIssuer(try LocalAuthority(name: "test")))
        #expect(try #require(issuer.certificate(for: [])).covers("localhost"))
    }

    @Test func `any number of names is served`() throws {
        let issuer = try #require(LocalIssuer(try LocalAuthority(name: "test")))
        for number in 0..<300 {
            #expect(issuer.certificate(for: Array("h\(number).test".utf8)) != nil)
        }
    }
}
