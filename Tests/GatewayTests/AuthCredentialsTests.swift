import Chimera
import ChimeraBytes
import ChimeraConfiguration
import ChimeraTestSupport
import Testing

/// `user:password` as a client would send it.
func basic(_ text: String) throws -> BasicCredentials {
    let bytes = Array(text.utf8)
    let value = Array("Basic ".utf8) + Base64.encode(bytes.span)
    let credentials = BasicCredentials(value.span)
    return try #require(credentials)
}

@Suite struct `Basic credentials` {
    @Test(arguments: [
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
        ("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
        ("BASIC   QWxhZGRpbjpvcGVuIHNlc2FtZQ", "Aladdin", "open sesame"),
        ("Basic dGVzdDoxMjPCow==", "test", "123£"),
        ("Basic Og==", "", ""),
        ("Basic YTpiOmM=", "a", "b:c"),
    ])
    func `user and password are read`(_ value: String, _ user: String, _ password: String) throws {
        let bytes = Array(value.utf8)
        let parsed = BasicCredentials(bytes.span)
        let credentials = try #require(parsed)
        #expect(Array(credentials.user) == Array(user.utf8))
        #expect(Array(credentials.password) == Array(password.utf8))
    }

    @Test(arguments: [
        "", "Basic", "Basic ", "Bearer QWxhZGRpbjpvcGVu", "BasicQWxhZGRpbjpvcGVu", "Basic QWxhZGRpbg==",
        "Basic !!!!",
        "Basic QWxhZGRpbjpvcGVu QWxh", "Basic YToAYg==", "Basic YQo6Yg==", "Basic YTpifw==",
        "Basic QWxhZGRpbjpvcGVu=",
    ])
    func `what is malformed is nothing`(_ value: String) {
        let bytes = Array(value.utf8)
        #expect(BasicCredentials(bytes.span) == nil)
    }

    @Test func `a realm is quoted`() {
        #expect(BasicCredentials.challenge(realm: "shop") == #"Basic realm="shop", charset="UTF-8""#)
        #expect(
            BasicCredentials.challenge(realm: "a\"b\\c\r\nd") == #"Basic realm="a\"b\\cd", charset="UTF-8""#)
    }

    @Test func `no octets trap the parser`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<10_000 {
            let tail = (0..<Int.random(in: 0...16, using: &generator)).map { _ in
                "QWxhOg==+/ ".utf8.randomElement(using: &generator)!
            }
            let bytes = Array("Basic ".utf8) + tail
            if let credentials = BasicCredentials(bytes.span) {
                #expect(!credentials.user.contains(UInt8(ascii: ":")), "seed \(seed)")
            }
        }
    }
}

@Suite struct `Verified credentials` {
    private let hashes = ["{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=", "{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk="]

    private func hash(_ index: Int) throws -> PasswordHash {
        let bytes = Array(hashes[index].utf8)
        return try PasswordHash(bytes.span)
    }

    private func limits(_ count: Int, _ lifetime: UInt64 = 100) -> VerifiedCredentials.Limits {
        var limits = VerifiedCredentials.Limits()
        limits.countMax = count
        limits.lifetime = lifetime
        return limits
    }

    private func cache(_ limits: VerifiedCredentials.Limits, seed: UInt64 = 1) throws -> VerifiedCredentials {
        var random = SeededGenerator(seed: seed)
        guard let cache = VerifiedCredentials(limits: limits, random: &random) else { throw NoDigest() }
        return cache
    }

    private struct NoDigest: Error {}

    @Test func `only the same user, password and hash are remembered, and not for ever`() throws {
        var cache = try cache(limits(8))
        let key = try cache.key(basic("joe:open sesame"), hash(0))!
        let wasThere = cache.contains(key, now: 5)
        cache.insert(key, now: 5)
        let isThere = (
            cache.contains(key, now: 5), cache.contains(key, now: 104), cache.contains(key, now: 105)
        )
        #expect(!wasThere)
        #expect(isThere == (true, true, false))
        let again = try cache.key(basic("joe:open sesame"), hash(0))
        #expect(again == key)
        for (credentials, index) in [
            ("joe:open sesame", 1), ("joe:open sesam", 0), ("joeo:pen sesame", 0), ("ann:open sesame", 0),
        ] {
            let other = try cache.key(basic(credentials), hash(index))!
            let isKnown = cache.contains(other, now: 5)
            #expect(!isKnown && other != key)
        }
    }

    @Test func `two caches do not share keys`() throws {
        var one = try cache(limits(8), seed: 1), two = try cache(limits(8), seed: 2)
        let first = try one.key(basic("joe:x"), hash(0)), second = try two.key(basic("joe:x"), hash(0))
        #expect(first != nil && second != nil && first != second)
    }

    @Test(arguments: [0, 1, 3])
    func `the oldest entry makes room`(_ countMax: Int) throws {
        var cache = try cache(limits(countMax))
        var keys: [VerifiedCredentials.Key] = []
        for index in 0..<7 {
            let key = try cache.key(basic("joe:\(index)"), hash(0))!
            keys.append(key)
            cache.insert(key, now: 0)
        }
        let count = cache.count
        #expect(count == countMax)
        for (index, key) in keys.enumerated() {
            let isThere = cache.contains(key, now: 1)
            #expect(isThere == (index >= 7 - countMax))
        }
    }

    @Test func `verifying again makes an entry last longer`() throws {
        var cache = try cache(limits(2))
        let key = try cache.key(basic("joe:x"), hash(0))!
        cache.insert(key, now: 0)
        cache.insert(key, now: 90)
        let isThere = cache.contains(key, now: 180), count = cache.count
        #expect(isThere && count == 1)
        cache.insert(key, now: .max - 1)
        let isThereAtTheEnd = cache.contains(key, now: .max - 1)
        #expect(isThereAtTheEnd)
    }
}
