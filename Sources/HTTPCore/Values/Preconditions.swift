internal import ChimeraBytes

/// What a representation can be told apart by (RFC 9110 §8.8).
package struct Validators: ~Escapable {
    /// The octets of the `ETag` field, quotes and all; nil where there is none.
    package let entityTag: Span<UInt8>?
    /// `Last-Modified` in seconds since 1970; nil where there is none.
    package let lastModified: Int64?
    /// The clock, in seconds since 1970.
    package let now: Int64
    /// Whether there is a representation at all, which is what `*` asks.
    package let exists: Bool

    @_lifetime(copy entityTag)
    package init(entityTag: Span<UInt8>?, lastModified: Int64?, now: Int64, exists: Bool = true) {
        self.entityTag = entityTag
        self.lastModified = lastModified
        self.now = now
        self.exists = exists
    }
}

/// The conditions of a request on a representation (RFC 9110 §13), told line by line.
///
/// Give each line of the five fields to ``add(_:_:)``, then ask ``outcome(isRetrieval:)`` and, for a 206,
/// ``allowsRange``. A condition that cannot be judged is not there: §13.1 says so for each field.
package struct Preconditions: ~Escapable {
    /// The fields that carry conditions.
    package enum Field: Sendable, CaseIterable {
        case ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince, ifRange
    }

    /// What the conditions make of the request.
    package enum Outcome: Sendable {
        /// Go on with the method.
        case proceed
        /// 304.
        case notModified
        /// 412.
        case preconditionFailed
    }

    private let validators: Validators
    private var matches: Bool?
    private var noneMatches: Bool?
    private var isModified: Bool?
    private var isUnmodified: Bool?
    private var sameForRange: Bool?
    private var modifiedLines = 0
    private var unmodifiedLines = 0
    private var rangeLines = 0

    @_lifetime(copy validators)
    package init(_ validators: consuming Validators) {
        self.validators = validators
    }

    /// Takes one line of `field`.
    @_lifetime(self: copy self)
    package mutating func add(_ field: Field, _ value: Span<UInt8>) {
        switch field {
        case .ifMatch: matches = matches == true || lists(value, strongly: true)
        case .ifNoneMatch: noneMatches = noneMatches != false && !lists(value, strongly: false)
        case .ifModifiedSince:
            modifiedLines += 1
            isModified = modifiedLines == 1 ? compare(value) { $0 > $1 } : nil
        case .ifUnmodifiedSince:
            unmodifiedLines += 1
            isUnmodified = unmodifiedLines == 1 ? compare(value) { $0 <= $1 } : nil
        case .ifRange:
            rangeLines += 1
            sameForRange = rangeLines == 1 && isSame(value)
        }
    }

    /// Judges in the order of RFC 9110 §13.2.2.
    ///
    /// - Parameter isRetrieval: the method is GET or HEAD.
    package func outcome(isRetrieval: Bool) -> Outcome {
        // Steps 1 and 2: If-Unmodified-Since counts only where there is no If-Match.
        if !(matches ?? isUnmodified ?? true) { return .preconditionFailed }
        // Step 3.
        if let noneMatches {
            if noneMatches { return .proceed }
            return isRetrieval ? .notModified : .preconditionFailed
        }
        // Step 4.
        return isRetrieval && isModified == false ? .notModified : .proceed
    }

    /// Step 5: whether `If-Range`, where there is one, lets `Range` count.
    package var allowsRange: Bool { sameForRange ?? true }

    private func lists(_ value: Span<UInt8>, strongly: Bool) -> Bool {
        let list = EntityTagList(value)
        if list.isAny { return validators.exists }
        guard let text = validators.entityTag, let tag = EntityTag(text) else { return false }
        return list.contains(tag, strongly: strongly)
    }

    /// - Returns: nil where the field is to be ignored: no date, or nothing to compare it with.
    private func compare(_ value: Span<UInt8>, _ holds: (Int64, Int64) -> Bool) -> Bool? {
        guard let lastModified = validators.lastModified,
            let date = HTTPDate.parse(value.trimmingWhitespace(), now: validators.now)
        else { return nil }
        return holds(lastModified, date)
    }

    /// RFC 9110 §13.1.5: the same entity tag, strongly; or the very date, if it is a strong validator.
    private func isSame(_ value: Span<UInt8>) -> Bool {
        let value = value.trimmingWhitespace()
        if let tag = EntityTag(value) {
            guard let text = validators.entityTag, let current = EntityTag(text) else { return false }
            return tag.stronglyEquals(current)
        }
        // RFC 9110 §8.8.2.2: within the second it names, the representation may change and keep its date.
        guard let date = HTTPDate.parse(value, now: validators.now),
            let lastModified = validators.lastModified
        else { return false }
        return date == lastModified && lastModified < validators.now
    }
}
