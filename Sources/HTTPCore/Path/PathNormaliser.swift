internal import ChimeraBytes

/// Gives the path of a request its two forms, so that what is matched and what is sent never disagree.
///
/// - The **sent** form is what an upstream gets: dot segments, those spelled with `%2E` too, are resolved by
///   RFC 3986 §5.2.4; every other octet is as the client wrote it.
/// - The **matched** form is what routes and `files` see: the sent form, percent-decoded once, with doubled
///   slashes as one, `%2F` as a slash, and the `;parameters` of each segment left out. Case counts.
///
/// A path whose two forms could be taken for different resources is refused, see ``Refusal``. The matched
/// form therefore never holds a segment `.` or `..`, an empty segment, a NUL or a backslash.
///
/// Most paths are in both forms already; one scan finds that out and nothing is copied. The others are
/// written to storage that is kept for the next request, so a normaliser allocates only while that grows.
package struct PathNormaliser {
    /// The forms of the last path that was not in both of them already, the sent one first.
    private var storage: [UInt8] = []

    package init() {}

    /// Why a path is refused, always with status 400.
    package enum Refusal: Error, Hashable, Sendable, CaseIterable {
        /// The path does not begin with a slash.
        case notAbsolute
        /// A percent sign without two hexadecimal digits.
        case badEscape
        /// `%00`.
        case encodedNul
        /// A backslash, or `%5C`: some take it for a slash.
        case backslash
        /// An octet up to 0x20, or 0x7F, as it is.
        case controlCharacter
        /// A number sign: some end the path there (RFC 9112 §3.2: a request target has no fragment).
        case fragment
        /// Decoding, or leaving out parameters, makes a segment `.` or `..`.
        case hiddenDotSegment
        /// `%2F` within the parameters of a segment: whether it ends them, no two servers agree.
        case slashInParameters
    }

    /// What became of a path.
    package enum Result: Sendable {
        case path(NormalisedPath)
        case refused(Refusal)
    }

    /// Normalises the path that `target` begins with; it ends at the first `?`, or with the target.
    ///
    /// The answer stays valid until the next call. It refers to `target`, which is to be given to
    /// ``sent(_:of:)`` and ``matched(_:of:)`` again.
    ///
    /// - Parameter target: a request target in origin-form, or the path and query of one in absolute-form.
    package mutating func normalise(_ target: Span<UInt8>) -> Result {
        guard target.count > 0, target[0] == .slash else { return .refused(.notAbsolute) }
        var scan = PathScan(target)
        if let end = scan.endIfNormal() { return .path(NormalisedPath(targetEnd: end)) }
        do throws(Refusal) {
            return .path(try rewrite(target, end: try scan.endIfValid()))
        } catch {
            return .refused(error)
        }
    }

    /// The form of `path` that an upstream gets.
    ///
    /// - Parameter target: what ``normalise(_:)`` was given.
    @_lifetime(borrow self, copy target)
    package func sent(_ path: NormalisedPath, of target: Span<UInt8>) -> Span<UInt8> {
        guard path.sentIsRewritten else { return target.extracting(0..<path.targetEnd) }
        return storage.span.extracting(0..<path.sentEnd)
    }

    /// The form of `path` that routes and files are looked up by.
    ///
    /// - Parameter target: what ``normalise(_:)`` was given.
    @_lifetime(borrow self, copy target)
    package func matched(_ path: NormalisedPath, of target: Span<UInt8>) -> Span<UInt8> {
        guard path.matchedIsRewritten else { return sent(path, of: target) }
        return storage.span.extracting(path.sentEnd..<path.matchedEnd)
    }

    private mutating func rewrite(
        _ target: Span<UInt8>, end: Int
    ) throws(Refusal) -> NormalisedPath {
        storage.removeAll(keepingCapacity: true)
        let hasDots = DotSegments.resolve(target.extracting(0..<end), into: &storage)
        let sentEnd = storage.count
        let decoded = try MatchedForm.append(to: &storage)
        return NormalisedPath(
            targetEnd: end, sentEnd: sentEnd, matchedEnd: storage.count,
            sentIsRewritten: hasDots, matchedIsRewritten: decoded)
    }
}

/// Where the two forms of a path stand, and what was done to get them.
package struct NormalisedPath: Equatable, Sendable {
    /// Where the path ends in the request target: at the `?`, or at the end.
    package let targetEnd: Int
    /// The sent form differs from what the client wrote: dot segments were resolved.
    package let sentIsRewritten: Bool
    /// The matched form differs from the sent one.
    package let matchedIsRewritten: Bool
    fileprivate let sentEnd: Int
    fileprivate let matchedEnd: Int

    /// A path that is in both forms already.
    fileprivate init(targetEnd: Int) {
        self.init(
            targetEnd: targetEnd, sentEnd: 0, matchedEnd: 0, sentIsRewritten: false, matchedIsRewritten: false
        )
    }

    fileprivate init(
        targetEnd: Int, sentEnd: Int, matchedEnd: Int, sentIsRewritten: Bool, matchedIsRewritten: Bool
    ) {
        self.targetEnd = targetEnd
        self.sentEnd = sentEnd
        self.matchedEnd = matchedEnd
        self.sentIsRewritten = sentIsRewritten
        self.matchedIsRewritten = matchedIsRewritten
    }

    /// Where the query stands in a request target of `count` octets, without its `?`; nil where there is
    /// none.
    package func query(inTargetOf count: Int) -> Range<Int>? {
        targetEnd < count ? (targetEnd + 1)..<count : nil
    }

    /// Both forms are the octets that the client wrote.
    package var isUnchanged: Bool { !sentIsRewritten && !matchedIsRewritten }
}
