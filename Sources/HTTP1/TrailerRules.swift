package import ChimeraHTTPCore

/// What may not stand in a trailer section (RFC 9110 §6.5.1): fields for framing, routing, authentication and
/// the like, which a recipient would have had to know before the content.
package enum TrailerRules {
    private static let forbidden: [FieldName] = [
        .contentLength, .transferEncoding, .host, .trailer, .te, .connection, .upgrade, .keepAlive,
        .proxyConnection,
        .contentEncoding, .contentType, .contentRange, .authorization, .proxyAuthorization, .wwwAuthenticate,
        .proxyAuthenticate, .cookie, .setCookie, .cacheControl, .expect, .maxForwards, .range, .ifMatch,
        .ifNoneMatch,
        .ifModifiedSince, .ifUnmodifiedSince, .ifRange, .age, .expires, .date, .location, .retryAfter, .vary,
        .xForwardedFor, .xForwardedHost, .xForwardedProto, .forwarded,
    ]

    /// Takes them out.
    package static func removeForbidden(from trailers: FieldBlock) {
        for name in forbidden { trailers.remove(name) }
    }
}
