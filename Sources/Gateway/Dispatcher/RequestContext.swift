internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraTLS
internal import ChimeraTelemetry

/// What routing knows of one request: who asks, on which listener, which site and route serve it, and what
/// the variables of templates stand for. Reused from request to request, so that one in steady state
/// allocates nothing.
///
/// The driver calls `begin` for each request and `end` after it; in between the dispatcher fills the rest.
/// Spans that the context hands out are valid until its next change.
final class RequestContext {
    // MARK: Who asks

    /// The address at the other end of the connection; nil for a Unix socket.
    @exclusivity(unchecked) private(set) var peer: IPAddress?
    @exclusivity(unchecked) private(set) var peerPort: UInt16 = 0
    /// The peer's address as text, made once for as long as the peer stays the same.
    private let peerBytes = ByteBuffer(capacity: 48)
    @exclusivity(unchecked) private var peerOfBytes: IPAddress?
    /// The client: the peer, or whom a trusted peer names in `X-Forwarded-For`. Nil for a Unix socket.
    @exclusivity(unchecked) var client: IPAddress?
    @exclusivity(unchecked) private(set) var listener = ListenerID.unnamed
    /// The port to name in redirects; 0 where there is none to name.
    @exclusivity(unchecked) private(set) var port: UInt16 = 0
    /// The request came over TLS, to us or to a trusted peer that says so in `X-Forwarded-Proto`.
    @exclusivity(unchecked) private(set) var isSecure = false

    /// TLS ends here, and not at a trusted peer: what its handshake has demanded holds.
    @exclusivity(unchecked) private(set) var hasHandshake = false

    /// No request of HTTP: a connection of `listen … session=`, which cannot be told to go elsewhere.
    @exclusivity(unchecked) private(set) var isPlain = false

    /// What the connection itself came to agree on; nil where it is without TLS.
    @exclusivity(unchecked) var tls: TLSConnection?

    // MARK: Where it goes

    /// Nil before the host is known, or where no site answers to it.
    @exclusivity(unchecked) var site: CompiledSite?
    /// Nil where no route serves the request.
    @exclusivity(unchecked) var route: CompiledRoute?
    /// The settings that count for the request; nil until it was dispatched.
    @exclusivity(unchecked) var settings: CompiledSettings?
    /// Why the request was refused before any route, for the log.
    @exclusivity(unchecked) var refusal: Refusal?
    /// The limit that refused the request.
    @exclusivity(unchecked) var limitHit: LimitHit?
    /// It was counted in the limits that cover it.
    @exclusivity(unchecked) var hasPassedLimits = false
    /// Where it counts as under way; see `Dispatcher.leavePlaces`.
    @exclusivity(unchecked) var places: ContiguousArray<Int32> = []

    // MARK: Host, paths, query

    /// The bytes behind the slices below, but for queries as they came, which lie in the request head.
    let text = ByteBuffer(capacity: 512)
    /// In `text`; empty where the request names no host.
    @exclusivity(unchecked) var host = Slice.empty
    /// What an upstream gets, in `text`.
    @exclusivity(unchecked) var sent = Slice.empty
    /// What routes are looked up by, in `text`.
    @exclusivity(unchecked) var matched = Slice.empty
    /// The query as it came, without its `?`, in the request head.
    @exclusivity(unchecked) var query = Slice.empty
    /// There is a `?`.
    @exclusivity(unchecked) var hasQuery = false
    /// The sent form is not what the client wrote.
    @exclusivity(unchecked) var isSentRewritten = false

    /// The last authority that was read, and behind it the host that it names: most connections ask for one host.
    private let readAuthority = ByteBuffer(capacity: 128)
    @exclusivity(unchecked) private var readAuthorityCount = 0

    // MARK: What the destination gets

    /// `strip`, `rewrite` or a prefix changed the path or the query.
    @exclusivity(unchecked) var isDestinationRewritten = false
    /// As `sent` and `matched`, for the destination.
    @exclusivity(unchecked) var destinationSent = Slice.empty
    @exclusivity(unchecked) var destinationMatched = Slice.empty
    /// The query of a `rewrite` that has one, in `text`.
    @exclusivity(unchecked) var rewrittenQuery: Slice?

    // MARK: Who it is

    /// The name of a user whose password was verified, in `text`.
    @exclusivity(unchecked) var user = Slice.empty
    /// What came of `Verdict.authenticate`.
    @exclusivity(unchecked) var authentication = Authentication.unasked
    @exclusivity(unchecked) private var storedID: RequestID?
    /// The worker's source of ids; set by its dispatcher.
    @exclusivity(unchecked) var ids: RequestIDs?

    /// What is known of the request's password beyond the cache.
    enum Authentication {
        /// Nothing was asked.
        case unasked
        /// The answer to this question.
        case answered(PasswordQuestion, isRight: Bool)
    }

    init() {}

    /// Starts over for the next request.
    ///
    /// - Parameters:
    ///   - peer: nil for a Unix socket.
    ///   - port: the port to name in redirects: the listener's `public=`, else its own.
    func begin(peer: IPAddress?, peerPort: UInt16, listener: ListenerID, port: UInt16, isSecure: Bool) {
        self.peer = peer
        self.peerPort = peerPort
        self.listener = listener
        self.port = port
        self.isSecure = isSecure
        hasHandshake = isSecure
        isPlain = false
        client = peer
        authentication = .unasked
        storedID = nil
        limitHit = nil
        hasPassedLimits = false
        forgetRouting()
    }

    /// Starts over for the next request of a connection.
    func begin(_ client: AcceptedClient, _ tls: TLSConnection?) {
        begin(
            peer: client.peer.ip, peerPort: client.peer.port, listener: client.listener.id,
            port: client.listener.port, isSecure: tls != nil)
        isPlain = client.listener.session != nil
        self.tls = tls
    }

    /// A trusted peer took the request over TLS, at a port that we do not know.
    func cameOverTLS() {
        if isSecure { return }
        isSecure = true
        port = 0
    }

    /// The peer's address in its canonical text; `unix` for a Unix socket.
    var peerText: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            if peerBytes.isEmpty || peerOfBytes != peer {
                peerBytes.clear()
                if let peer { peerBytes.append(peer) } else { peerBytes.append("unix") }
                peerOfBytes = peer
            }
            let bytes = peerBytes
            return _overrideLifetime(bytes.readable, borrowing: self)
        }
    }

    /// Lets go of site and route, so that a context that waits for its next request keeps no old site alive.
    func end() {
        site = nil
        route = nil
        settings = nil
    }

    /// Gives back the memory that is not needed as long as the request stays as it is.
    func trim() {
        text.trim()
        readAuthority.trim()
    }

    /// Forgets all that the dispatcher found out, so that it can start over.
    func forgetRouting() {
        end()
        refusal = nil
        text.clear()
        (host, sent, matched, query) = (.empty, .empty, .empty, .empty)
        hasQuery = false
        isSentRewritten = false
        isDestinationRewritten = false
        (destinationSent, destinationMatched) = (.empty, .empty)
        rewrittenQuery = nil
        user = .empty
    }

    /// The request's id, made when it is first asked for.
    var id: RequestID {
        if let storedID { return storedID }
        let made = ids?.next() ?? RequestID(high: 0, low: 0)
        storedID = made
        return made
    }
}

// MARK: Text

extension RequestContext {
    /// The bytes of a slice of `text`.
    subscript(_ slice: Slice) -> Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let buffer = text
            return _overrideLifetime(buffer.readable.extracting(slice.range), borrowing: self)
        }
    }

    /// Stores the host of an authority that is the same as the last one.
    ///
    /// - Returns: false where it is another, which has to be read.
    func recallHost(of authority: Span<UInt8>) -> Bool {
        let read = readAuthority
        guard readAuthorityCount == authority.count, authority.count > 0,
            read.readable.extracting(first: readAuthorityCount).equals(authority)
        else { return false }
        host = store(read.readable.extracting(readAuthorityCount..<read.count))
        return true
    }

    /// Keeps the host that was found in an authority.
    func rememberHost(of authority: Span<UInt8>) {
        readAuthority.clear()
        readAuthority.append(authority)
        readAuthorityCount = authority.count
        readAuthority.append(canonicalHost)
    }

    /// Copies `bytes`, which do not lie in `text`.
    func store(_ bytes: Span<UInt8>) -> Slice {
        let start = text.count
        text.append(bytes)
        return Slice(start: start, count: bytes.count)
    }

    /// The host in small letters, without port and trailing dot; empty where the request names none.
    var canonicalHost: Span<UInt8> {
        @_lifetime(borrow self)
        get { self[host] }
    }

    /// The path that an upstream gets, before `strip` and `rewrite`: `{path}`.
    var sentPath: Span<UInt8> {
        @_lifetime(borrow self)
        get { self[sent] }
    }

    /// The path that routes are looked up by.
    var matchedPath: Span<UInt8> {
        @_lifetime(borrow self)
        get { self[matched] }
    }

    /// Where tools that get certificates by HTTP answer (RFC 8555 §8.3).
    static let challengePrefix: StaticString = "/.well-known/acme-challenge/"

    /// RFC 8555 §8.3: what authorities ask for without TLS, before there is a certificate.
    var isACMEChallenge: Bool {
        let prefix = Self.challengePrefix
        let path = matchedPath
        guard path.count >= prefix.utf8CodeUnitCount else { return false }
        return path.extracting(first: prefix.utf8CodeUnitCount).equals(prefix)
    }

    /// What a capture of the route's pattern stands for: the segment with this number of the matched path, or
    /// nothing.
    @_lifetime(borrow self)
    func capture(_ segment: Int) -> Span<UInt8> {
        let path = matchedPath
        return path.extracting(path.pathSegment(segment) ?? 0..<0)
    }

    /// What `*` of the route's pattern stands for: the matched path from this segment on, without the slash
    /// before it.
    @_lifetime(borrow self)
    func rest(from segment: Int) -> Span<UInt8> {
        let path = matchedPath
        return path.extracting((path.pathOffset(ofSegment: segment) ?? path.count)..<path.count)
    }

    /// The label of the host with this number, from 1; empty where it has fewer.
    @_lifetime(borrow self)
    func hostLabel(_ number: Int) -> Span<UInt8> {
        let name = canonicalHost
        var start = 0
        for _ in 1..<max(1, number) {
            guard let dot = name.firstIndex(of: UInt8(ascii: "."), from: start) else {
                return name.extracting(0..<0)
            }
            start = dot + 1
        }
        return name.extracting(start..<(name.firstIndex(of: UInt8(ascii: "."), from: start) ?? name.count))
    }
}

// MARK: For the destination

extension RequestContext {
    /// The path below the served directory: the destination's path in its matched form, the leading literals
    /// of the pattern taken off unless `strip` or `rewrite` made the path. It begins with `/`, or is empty
    /// where the request names the directory itself without its slash.
    @_lifetime(borrow self)
    func filesPath(strippedSegments: Int) -> Span<UInt8> {
        if isDestinationRewritten { return self[destinationMatched] }
        let path = matchedPath
        guard strippedSegments > 0 else { return path }
        guard let offset = path.pathOffset(ofSegment: strippedSegments) else { return path.extracting(0..<0) }
        // The slash before the first segment that stays is part of the path; without one the path ends there.
        return path.extracting((path[offset - 1] == UInt8(ascii: "/") ? offset - 1 : path.count)..<path.count)
    }

    /// Stores path and query as an upstream gets them in `head`, which is not the request itself.
    func storeTarget(of request: RequestHead, in head: FieldBlock) -> Slice {
        if !isDestinationRewritten && !isSentRewritten { return head.store(request[request.pathAndQuery]) }
        let mark: InlineArray<1, UInt8> = [UInt8(ascii: "?")]
        let path = head.store(isDestinationRewritten ? self[destinationSent] : sentPath)
        var count = path.count
        if let rewrittenQuery {
            count += head.store(mark.span).count + head.store(self[rewrittenQuery]).count
        } else if hasQuery {
            count += head.store(mark.span).count + head.store(request[query]).count
        }
        return Slice(start: Int(path.start), count: Int(count))
    }
}
