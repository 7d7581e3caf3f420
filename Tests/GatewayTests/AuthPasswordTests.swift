import Chimera
import ChimeraConfiguration
import ChimeraTestSupport
import Testing

/// Hashes that `htpasswd`, `openssl passwd` and crypt(3) made.
@Suite struct `Password hashes` {
    @Test(arguments: [
        ("open sesame", "$2y$04$ndz.bvuBYi7.1Q49KdChEeRRgZZER4xKqxeRqIp7ipH4F9P3BJCea"),
        ("pässword", "$2y$04$fZIcbi5ul3koms1wyl8.9OjUsI/Z1/ERXl02fLsLH5z8MZOkHl5mK"),
        ("", "$2y$04$3kXYMsDXtwmq5OvwdhC0teR422NOET5QIqOewjJhb5J81p0E3kWbe"),
        ("open sesame", "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"),
        ("open sesame", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.vTdnMkpWk2uFGdD13bbQkt9V3Bbgxl."),
        ("open sesame", "$5$saltstring$sOFRiuqOzKEQCZAIFmMrCbPuMEMUPOi/BmBpBwWMgW3"),
        ("open sesame", "$5$rounds=1000$abc$YfUpbOb1DthsfsHxCQrfwTuwysfDsVaL9/g52LvETD8"),
        ("open sesame", "$5$$KJ5psCy8gt/bqoY9dbXp4z.l5wvslQinOIpj.8mD/v7"),
        (
            "open sesame",
            "$6$saltstring$b4SOQO.YI.BXjgbKQa.97c9EQud0NW8Txr5rCRGsAucjEsL95TW5MDF/7KcC3bcG5NoxZbmB6Lh8"
                + "2fxg8soAZ0"
        ),
        (
            "open sesame",
            "$6$rounds=1400$anotherlongsalts$2l0jObIiaejfNiPOnS8UkCZybkbfORkEQ5QJcjK0ZKxrYceQQLT7mW1pzTjpmzy9"
                + "m5pFl.PGA2y7rXxFKs0Zg."
        ),
        ("open sesame", "$apr1$QZmWdEMP$kzTVBzvt8lfHN0wxGtqjZ1"),
        ("pässword", "$apr1$lugeVCeC$UXPvEO9ByXDGKNmbjRDtE/"),
        ("", "$apr1$dRiwef8y$izj9oUlvHtlLa4Xs0Dvhc0"),
        ("open sesame", "$apr1$abcd$a4TJDqmci1Rx5yACpaKUk."),
        ("1234567890123456", "$apr1$12345678$77xscDvxhOKVemwPrHFcS."),
        (String(repeating: "x", count: 100), "$apr1$12345678$yiFoyfrrVNwrIepED8sjv0"),
        ("open sesame", "{SHA}W8r/fyL/UzygmbNAjq2HbA67qac="),
        ("", "{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
    ])
    func `the password that made a hash is its password, and no other is`(_ password: String, _ text: String)
        throws
    {
        let bytes = Array(text.utf8)
        let hash = try PasswordHash(bytes.span)
        for (candidate, isRight) in [
            (password, true), (password + "x", false), ("O" + password, false), ("\u{0}", false),
            (password + "\u{0}", false),
        ] {
            let candidate = Array(candidate.utf8)
            #expect(hash.verify(candidate.span) == isRight)
        }
    }

    @Test(
        arguments: [
            ("$2y$10$ndz.bvuBYi7.1Q49KdChEeRRgZZER4xKqxeRqIp7ipH4F9P3BJCea", .bcrypt(cost: 10)),
            ("$5$saltstring$sOFRiuqOzKEQCZAIFmMrCbPuMEMUPOi/BmBpBwWMgW3", .sha256(rounds: 5000)),
            ("$5$rounds=1000$abc$YfUpbOb1DthsfsHxCQrfwTuwysfDsVaL9/g52LvETD8", .sha256(rounds: 1000)),
            ("$apr1$QZmWdEMP$kzTVBzvt8lfHN0wxGtqjZ1", .apr1),
            ("{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=", .sha1),
        ] as [(String, PasswordHash.Scheme)])
    func `a hash says how it was made`(_ text: String, _ scheme: PasswordHash.Scheme) throws {
        let bytes = Array(text.utf8)
        #expect(try PasswordHash(bytes.span).scheme == scheme)
    }

    @Test(
        arguments: [
            ("plain", .plainOrDES), ("kxwKctMzc27zs", .plainOrDES), ("x", .plainOrDES), ("", .malformed),
            ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", .unknownScheme), ("$y$j9T$abc$def", .unknownScheme),
            ("{SSHA}W8r/fyL/UzygmbNAjq2HbA67qac=", .unknownScheme), ("{PLAIN}x", .unknownScheme),
            ("$2x$04$ndz.bvuBYi7.1Q49KdChEeRRgZZER4xKqxeRqIp7ipH4F9P3BJCea", .unknownScheme),
            ("$", .unknownScheme),
            ("$2y$", .malformed), ("$2y$04$ndz.bvuBYi7.1Q49KdChEeRRgZZER4xKqxeRqIp7ipH4F9P3BJCe", .malformed),
            ("$2y$04$ndz.bvuBYi7.1Q49KdChEeRRgZZER4xKqxeRqIp7ipH4F9P3BJC*a", .malformed),
            ("$2y$03$ndz.bvuBYi7.1Q49KdChEeRRgZZER4xKqxeRqIp7ipH4F9P3BJCea", .malformed),
            ("$2y$17$ndz.bvuBYi7.1Q49KdChEeRRgZZER4xKqxeRqIp7ipH4F9P3BJCea", .tooCostly),
            ("$5$", .malformed), ("$6$saltstring$short", .malformed), ("$5$saltstring", .malformed),
            ("$5$rounds=999$abc$YfUpbOb1DthsfsHxCQrfwTuwysfDsVaL9/g52LvETD8", .malformed),
            ("$5$rounds=x$abc$YfUpbOb1DthsfsHxCQrfwTuwysfDsVaL9/g52LvETD8", .malformed),
            ("$5$rounds=1000000001$abc$YfUpbOb1DthsfsHxCQrfwTuwysfDsVaL9/g52LvETD8", .tooCostly),
            ("$5$12345678901234567$YfUpbOb1DthsfsHxCQrfwTuwysfDsVaL9/g52LvETD8", .malformed),
            ("$apr1$", .malformed), ("$apr1$123456789$kzTVBzvt8lfHN0wxGtqjZ1", .malformed),
            ("$apr1$QZmWdEMP$kzTVBzvt8lfHN0wxGtqjZ", .malformed), ("{SHA}", .malformed),
            ("{SHA}W8r/fyL/UzygmbNAjq2HbA67qac", .malformed),
            ("{SHA}W8r/fyL/UzygmbNAjq2HbA67q===", .malformed),
        ] as [(String, PasswordHash.Refusal)])
    func `a hash that does not protect, or cannot be right, is refused`(
        _ text: String, _ refusal: PasswordHash.Refusal
    ) {
        let bytes = Array(text.utf8)
        #expect(throws: refusal) { try PasswordHash(bytes.span) }
    }
}

@Suite struct `Password files` {
    private let good = """
        # who may enter

        joe:$apr1$QZmWdEMP$kzTVBzvt8lfHN0wxGtqjZ1
        ann:{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=:Ann, from the office\r
        zoë:$2y$04$fZIcbi5ul3koms1wyl8.9OjUsI/Z1/ERXl02fLsLH5z8MZOkHl5mK \t
        """

    @Test(arguments: [
        ("joe:open sesame", true), ("ann:open sesame", true), ("zoë:pässword", true), ("joe:pässword", false),
        ("Joe:open sesame", false), ("jo:open sesame", false), (":open sesame", false), ("joe:", false),
        ("bob:open sesame", false), ("# who may enter:", false),
    ])
    func `a user is verified by their own hash`(_ credentials: String, _ isVerified: Bool) throws {
        let bytes = Array(good.utf8)
        let file = try PasswordFile(bytes.span)
        #expect(file.count == 3)
        #expect(try file.verify(basic(credentials)) == isVerified)
    }

    @Test func `every line that is wrong is named`() throws {
        let text =
            "joe:plain\n\nnonsense\n:{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=\n"
            + "ann:{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=\nann:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n"
            + "bob:kxwKctMzc27zs\nzoe:$1$a$b\nx:$apr1$"
        let bytes = Array(text.utf8)
        let faults = #expect(throws: PasswordFile.Faults.self) { try PasswordFile(bytes.span) }?.lines ?? []
        #expect(faults.map(\.line) == [1, 3, 4, 6, 7, 8, 9])
        #expect(
            faults.map(\.reason) == [
                .hash(.plainOrDES), .notUserAndHash, .notUserAndHash, .repeatedUser, .hash(.plainOrDES),
                .hash(.unknownScheme), .hash(.malformed),
            ])
        #expect(faults.allSatisfy { !$0.description.contains("kxwK") })
        #expect(faults[0].description.contains("htpasswd -B"))
    }

    @Test func `an empty file lets nobody in`() throws {
        let bytes: [UInt8] = []
        let file = try PasswordFile(bytes.span)
        #expect(try !file.verify(basic("joe:x")) && file.count == 0)
    }

    @Test func `no octets trap the reader`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let pieces = [
            "$apr1$", "$2y$04$", "$5$", "$6$rounds=", "{SHA}", ":", "\n", "joe", "$", "#", "\r", "1000", "é",
        ]
        var refusals = 0
        for _ in 0..<5_000 {
            let text = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
                pieces.randomElement(using: &generator)!
            }
            let bytes = Array(text.joined().utf8)
            do {
                let file = try PasswordFile(bytes.span)
                #expect(file.count == 0, "seed \(seed): no hash here is whole")
            } catch {
                refusals += 1
                #expect(error.lines.allSatisfy { $0.line > 0 }, "seed \(seed)")
            }
        }
        #expect(refusals > 1_000)
    }
}
