package import ChimeraBytes

/// What the head says of the body's length (RFC 9112 §6, RFC 9113 §8.1).
package enum BodyLength: Equatable, Sendable {
    /// There is no body.
    case none
    /// So many bytes.
    case known(Int)
    /// As many as come: chunked, a stream until its end, or until the connection closes.
    case unknown
}

/// The form of a request target (RFC 9112 §3.2).
package enum TargetForm: Sendable {
    case origin, absolute, authority, asterisk
}

/// The head of a request, on any protocol version: the start line's parts as slices, and the fields.
///
/// Reused from request to request: `reset()` empties it and its memory stays.
package final class RequestHead: FieldBlock {
    @inlinable package var method: Method {
        get { _method }
        set { _method = newValue }
    }
    /// The method as it was written.
    @inlinable package var methodBytes: Slice {
        get { _methodBytes }
        set { _methodBytes = newValue }
    }
    @inlinable package var form: TargetForm {
        get { _form }
        set { _form = newValue }
    }
    /// The whole request target as it was written.
    @inlinable package var target: Slice {
        get { _target }
        set { _target = newValue }
    }
    /// Path and query of the target, which begin with a slash; empty for the authority and asterisk forms.
    @inlinable package var pathAndQuery: Slice {
        get { _pathAndQuery }
        set { _pathAndQuery = newValue }
    }
    /// Whom the request is for: of the target where it has one, else of Host; empty where neither is there.
    @inlinable package var authority: Slice {
        get { _authority }
        set { _authority = newValue }
    }
    @inlinable package var body: BodyLength {
        get { _body }
        set { _body = newValue }
    }
    /// The client waits for 100 (Continue) before it sends the body (RFC 9110 §10.1.1).
    @inlinable package var expectsContinue: Bool {
        get { _expectsContinue }
        set { _expectsContinue = newValue }
    }
    /// The request asks for another protocol on this connection or stream: Upgrade, or extended CONNECT.
    @inlinable package var upgrade: Slice {
        get { _upgrade }
        set { _upgrade = newValue }
    }
    /// The request came over TLS.
    @inlinable package var isSecure: Bool {
        get { _isSecure }
        set { _isSecure = newValue }
    }
    /// The minor version of HTTP/1, for the log and for what depends on the peer's age; 1 for later versions.
    @inlinable package var minorVersion: UInt8 {
        get { _minorVersion }
        set { _minorVersion = newValue }
    }

    // What is stored. The attribute does not reach other modules: there an access would be checked at run time,
    // but for one through an inlinable accessor.
    @exclusivity(unchecked) @usableFromInline var _method: Method = .get
    @exclusivity(unchecked) @usableFromInline var _methodBytes: Slice = .empty
    @exclusivity(unchecked) @usableFromInline var _form: TargetForm = .origin
    @exclusivity(unchecked) @usableFromInline var _target: Slice = .empty
    @exclusivity(unchecked) @usableFromInline var _pathAndQuery: Slice = .empty
    @exclusivity(unchecked) @usableFromInline var _authority: Slice = .empty
    @exclusivity(unchecked) @usableFromInline var _body: BodyLength = .none
    @exclusivity(unchecked) @usableFromInline var _expectsContinue: Bool = false
    @exclusivity(unchecked) @usableFromInline var _upgrade: Slice = .empty
    @exclusivity(unchecked) @usableFromInline var _isSecure: Bool = false
    @exclusivity(unchecked) @usableFromInline var _minorVersion: UInt8 = 1

    /// Becomes the same as `other`.
    package func copy(_ other: RequestHead) {
        copyFields(of: other)
        method = other.method
        methodBytes = other.methodBytes
        form = other.form
        target = other.target
        pathAndQuery = other.pathAndQuery
        authority = other.authority
        body = other.body
        expectsContinue = other.expectsContinue
        upgrade = other.upgrade
        isSecure = other.isSecure
        minorVersion = other.minorVersion
    }

    /// Empties the head for the next request.
    package func reset() {
        removeAll()
        method = .get
        methodBytes = .empty
        form = .origin
        target = .empty
        pathAndQuery = .empty
        authority = .empty
        body = .none
        expectsContinue = false
        upgrade = .empty
        isSecure = false
        minorVersion = 1
    }
}

/// The head of a response, on any protocol version.
package final class ResponseHead: FieldBlock {
    /// The status code, 100 to 999.
    @inlinable package var status: Int {
        get { _status }
        set { _status = newValue }
    }
    /// What is known of the body; for an answer to HEAD it is what GET would get (RFC 9110 §9.3.2).
    @inlinable package var body: BodyLength {
        get { _body }
        set { _body = newValue }
    }
    /// The minor version of HTTP/1 that an upstream answered with.
    @inlinable package var minorVersion: UInt8 {
        get { _minorVersion }
        set { _minorVersion = newValue }
    }

    // What is stored. The attribute does not reach other modules: there an access would be checked at run time,
    // but for one through an inlinable accessor.
    @exclusivity(unchecked) @usableFromInline var _status: Int = 200
    @exclusivity(unchecked) @usableFromInline var _body: BodyLength = .none
    @exclusivity(unchecked) @usableFromInline var _minorVersion: UInt8 = 1

    /// Empties the head for the next response.
    package func reset(status: Int = 200) {
        removeAll()
        self.status = status
        body = .none
        minorVersion = 1
    }

    /// Whether a response with this status never has content (RFC 9110 §6.4.1).
    package var forbidsContent: Bool { status < 200 || status == 204 || status == 304 }
}
