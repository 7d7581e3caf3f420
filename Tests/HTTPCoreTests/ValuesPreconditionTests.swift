import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

@Suite struct `Entity tags and preconditions` {
    @Test(arguments: [
        (#""xyzzy""#, true), (#"W/"xyzzy""#, true), (#""""#, true), (#""a,b\c""#, true), (#"w/"x""#, false),
        ("xyzzy", false),
        (#""x"#, false), (#""x"y"#, false), (#" "x""#, false), (#""x y""#, false), ("", false), ("W/", false),
        ("W", false),
        (#"W/ "x""#, false), (#"""#, false),
    ])
    func `an entity tag is quoted`(_ text: String, _ isValid: Bool) {
        let bytes = Array(text.utf8)
        let isParsed = EntityTag(bytes.span) != nil
        #expect(isParsed == isValid)
    }

    /// RFC 9110 §8.8.3.2, its table
    @Test(arguments: [
        (#"W/"1""#, #"W/"1""#, false, true), (#"W/"1""#, #"W/"2""#, false, false),
        (#"W/"1""#, #""1""#, false, true),
        (#""1""#, #""1""#, true, true), (#""1""#, #""1 ""#, false, false),
    ])
    func `comparison is strong or weak`(_ left: String, _ right: String, _ strong: Bool, _ weak: Bool) {
        let leftBytes = Array(left.utf8), rightBytes = Array(right.utf8)
        guard let one = EntityTag(leftBytes.span) else { return #expect(Bool(false)) }
        #expect(EntityTagList(rightBytes.span).contains(one, strongly: true) == strong)
        #expect(EntityTagList(rightBytes.span).contains(one, strongly: false) == weak)
    }

    @Test(arguments: [
        (#""a", "b", "c""#, true), (#"W/"b""#, true), (#", ,"a",,"b""#, true), (#""a","c""#, false),
        (#""a" "b""#, true),
        (#"b"#, false), (#"x, "b""#, false), (#""a,"b""#, false), (#""b"#, false), ("", false),
        (#""a, b", "b""#, false),
    ])
    func `a list holds a tag`(_ list: String, _ isMember: Bool) {
        let bytes = Array(list.utf8), tagBytes = Array(#""b""#.utf8)
        guard let tag = EntityTag(tagBytes.span) else { return #expect(Bool(false)) }
        #expect(EntityTagList(bytes.span).contains(tag, strongly: false) == isMember)
    }

    private static let before = "Sun, 06 Nov 1994 08:49:36 GMT"
    private static let same = "Sun, 06 Nov 1994 08:49:37 GMT"
    private static let after = "Sun, 06 Nov 1994 08:49:38 GMT"

    /// The representation has `"e"` and ``same``.
    @Test(
        arguments: [
            ([], .proceed, .proceed),
            ([(.ifMatch, #""e""#)], .proceed, .proceed),
            ([(.ifMatch, #""x""#)], .preconditionFailed, .preconditionFailed),
            ([(.ifMatch, #"W/"e""#)], .preconditionFailed, .preconditionFailed),
            ([(.ifMatch, "*")], .proceed, .proceed),
            ([(.ifMatch, #""x""#), (.ifMatch, #""e""#)], .proceed, .proceed),
            ([(.ifMatch, "")], .preconditionFailed, .preconditionFailed),
            ([(.ifUnmodifiedSince, same)], .proceed, .proceed),
            ([(.ifUnmodifiedSince, after)], .proceed, .proceed),
            ([(.ifUnmodifiedSince, before)], .preconditionFailed, .preconditionFailed),
            ([(.ifUnmodifiedSince, "nonsense")], .proceed, .proceed),
            ([(.ifMatch, #""e""#), (.ifUnmodifiedSince, before)], .proceed, .proceed),
            ([(.ifUnmodifiedSince, before), (.ifUnmodifiedSince, before)], .proceed, .proceed),
            ([(.ifNoneMatch, #""e""#)], .notModified, .preconditionFailed),
            ([(.ifNoneMatch, #"W/"e""#)], .notModified, .preconditionFailed),
            ([(.ifNoneMatch, "*")], .notModified, .preconditionFailed),
            ([(.ifNoneMatch, #""x""#)], .proceed, .proceed),
            ([(.ifNoneMatch, #""x""#), (.ifNoneMatch, #""e""#)], .notModified, .preconditionFailed),
            ([(.ifNoneMatch, #""x""#), (.ifModifiedSince, same)], .proceed, .proceed),
            ([(.ifNoneMatch, #""e""#), (.ifModifiedSince, before)], .notModified, .preconditionFailed),
            ([(.ifMatch, #""x""#), (.ifNoneMatch, #""e""#)], .preconditionFailed, .preconditionFailed),
            ([(.ifModifiedSince, before)], .proceed, .proceed),
            ([(.ifModifiedSince, same)], .notModified, .proceed),
            ([(.ifModifiedSince, after)], .notModified, .proceed),
            ([(.ifModifiedSince, "Sunday, 06-Nov-94 08:49:37 GMT")], .notModified, .proceed),
            ([(.ifModifiedSince, "0")], .proceed, .proceed),
            ([(.ifModifiedSince, same), (.ifModifiedSince, same)], .proceed, .proceed),
        ] as [([(Preconditions.Field, String)], Preconditions.Outcome, Preconditions.Outcome)])
    func `conditions are judged in the order of the RFC`(
        _ fields: [(Preconditions.Field, String)], _ retrieval: Preconditions.Outcome,
        _ other: Preconditions.Outcome
    ) {
        let tag = Array(#""e""#.utf8)
        var conditions = Preconditions(
            Validators(entityTag: tag.span, lastModified: 784_111_777, now: 1_767_225_600))
        for (field, value) in fields {
            let bytes = Array(value.utf8)
            conditions.add(field, bytes.span)
        }
        #expect(conditions.outcome(isRetrieval: true) == retrieval)
        #expect(conditions.outcome(isRetrieval: false) == other)
    }

    @Test func `an asterisk asks whether there is anything`() {
        let star = Array("*".utf8)
        for exists in [true, false] {
            var match = Preconditions(Validators(entityTag: nil, lastModified: nil, now: 0, exists: exists))
            match.add(.ifMatch, star.span)
            #expect(match.outcome(isRetrieval: false) == (exists ? .proceed : .preconditionFailed))
            var noneMatch = Preconditions(
                Validators(entityTag: nil, lastModified: nil, now: 0, exists: exists))
            noneMatch.add(.ifNoneMatch, star.span)
            #expect(noneMatch.outcome(isRetrieval: false) == (exists ? .preconditionFailed : .proceed))
        }
    }

    @Test(
        arguments: [
            (nil, true, true), (#""e""#, true, false), (#"W/"e""#, false, false), (#""x""#, false, false),
            (same, true, true),
            (before, false, false), (after, false, false), ("nonsense", false, false), ("*", false, false),
        ] as [(String?, Bool, Bool)])
    func `If-Range needs the very representation`(_ value: String?, _ withTag: Bool, _ withoutTag: Bool) {
        let tag = Array(#""e""#.utf8)
        for (entityTag, isAllowed) in [(true, withTag), (false, withoutTag)] {
            var conditions = Preconditions(
                Validators(
                    entityTag: entityTag ? tag.span : nil, lastModified: 784_111_777, now: 1_767_225_600))
            if let value {
                let bytes = Array(value.utf8)
                conditions.add(.ifRange, bytes.span)
            }
            #expect(conditions.allowsRange == isAllowed)
        }
    }

    @Test func `a date of this very second is a weak validator`() {
        let date = Array(Self.same.utf8)
        for (now, isAllowed) in [(784_111_777, false), (784_111_778, true)] as [(Int64, Bool)] {
            var conditions = Preconditions(Validators(entityTag: nil, lastModified: 784_111_777, now: now))
            conditions.add(.ifRange, date.span)
            #expect(conditions.allowsRange == isAllowed)
        }
    }

    @Test func `no octets trap the conditions`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let tag = Array(#"W/"e""#.utf8)
        for _ in 0..<5_000 {
            var conditions = Preconditions(Validators(entityTag: tag.span, lastModified: 7, now: 9))
            for field in Preconditions.Field.allCases {
                let bytes = generator.bytes(upTo: 12, from: #"W/""",, e*"#)
                conditions.add(field, bytes.span)
            }
            // The representation has a weak tag, and a date that none of these octets spell.
            #expect(conditions.allowsRange == false, "seed \(seed)")
            #expect(conditions.outcome(isRetrieval: false) != .notModified, "seed \(seed)")
        }
    }
}
