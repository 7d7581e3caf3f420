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
    @exclusivity(unchecked) package var method = Method.get
    /// The method as it was written.
    @exclusivity(unchecked) package var methodBytes = Slice.empty
    @exclusivity(unchecked) package var form = TargetForm.origin
    /// The whole request target as it was written.
    @exclusivity(unchecked) package var target = Slice.empty
    /// The scheme that is said beside the target (RFC 9113 §8.3.1); empty where the target's own form has it.
    @exclusivity(unchecked) package var scheme = Slice.empty
    /// Path and query of the target, which begin with a slash; empty for the authority and asterisk forms.
    @exclusivity(unchecked) package var pathAndQuery = Slice.empty
    /// Whom the request is for: of the target where it has one, else of Host; empty where neither is there.
    @exclusivity(unchecked) package var authority = Slice.empty
    @exclusivity(unchecked) package var body = BodyLength.none
    /// The client waits for 100 (Continue) before it sends the body (RFC 9110 §10.1.1).
    @exclusivity(unchecked) package var expectsContinue = false
    /// The request asks for another protocol on this connection or stream: Upgrade, or extended CONNECT.
    @exclusivity(unchecked) package var upgrade = Slice.empty
    /// The request came over TLS.
    @exclusivity(unchecked) package var isSecure = false
    /// The major version of HTTP that the client speaks, for the log and for Via.
    @exclusivity(unchecked) package var majorVersion: UInt8 = 1
    /// The minor version of HTTP/1, for the log and for what depends on the peer's age; 1 for later versions.
    @exclusivity(unchecked) package var minorVersion: UInt8 = 1

    /// How often the request may still be passed on: for TRACE and OPTIONS alone, and where the field is a number
    /// (RFC 9110 §7.6.2).
    package var maxForwards: Int? {
        guard method == .trace || method == .options, let value = self[.maxForwards] else { return nil }
        return Int(decimal: value)
    }

    /// Whether the target is an https URI (RFC 9112 §3.2.2, RFC 9113 §8.3.1).
    package var targetsHTTPS: Bool {
        form == .absolute && self[target].startsIgnoringCase(with: "https:")
            || self[scheme].equalsIgnoringCase("https")
    }

    /// Becomes the same as `other`.
    package func copy(_ other: RequestHead) {
        copyFields(of: other)
        method = other.method
        methodBytes = other.methodBytes
        form = other.form
        target = other.target
        scheme = other.scheme
        pathAndQuery = other.pathAndQuery
        authority = other.authority
        body = other.body
        expectsContinue = other.expectsContinue
        upgrade = other.upgrade
        isSecure = other.isSecure
        majorVersion = other.majorVersion
        minorVersion = other.minorVersion
    }

    /// Empties the head for the next request.
    package func reset() {
        removeAll()
        method = .get
        methodBytes = .empty
        form = .origin
        target = .empty
        scheme = .empty
        pathAndQuery = .empty
        authority = .empty
        body = .none
        expectsContinue = false
        upgrade = .empty
        isSecure = false
        majorVersion = 1
        minorVersion = 1
    }
}

/// The head of a response, on any protocol version.
package final class ResponseHead: FieldBlock {
    /// The status code, 100 to 999.
    @exclusivity(unchecked) package var status = 200
    /// What is known of the body; for an answer to HEAD it is what GET would get (RFC 9110 §9.3.2).
    @exclusivity(unchecked) package var body = BodyLength.none
    /// The minor version of HTTP/1 that an upstream answered with.
    @exclusivity(unchecked) package var minorVersion: UInt8 = 1

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
