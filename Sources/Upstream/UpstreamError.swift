/// Why an upstream gave no answer that could be passed on, as RFC 9209 names it in `Proxy-Status`.
package enum UpstreamError: UInt8, Error, CaseIterable, Sendable {
    case nameNotResolved, nameTimeout, connectionRefused, connectionTimeout, connectionFailed
    case connectionTerminated, answerTimeout, readTimeout, writeTimeout, answerMalformed, answerIncomplete
    case upgradeUnexpected, overloaded
    /// The address is none that the tenant's connections may lead to.
    case addressNotPermitted

    /// What the client is told.
    package var status: Int {
        switch self {
        case .nameTimeout, .connectionTimeout, .answerTimeout, .readTimeout, .writeTimeout: 504
        case .overloaded: 503
        default: 502
        }
    }

    /// The `error` parameter of Proxy-Status (RFC 9209 §2.3).
    package var proxyStatus: StaticString {
        switch self {
        case .nameNotResolved: "dns_error"
        case .nameTimeout: "dns_timeout"
        case .connectionRefused: "connection_refused"
        case .connectionTimeout: "connection_timeout"
        case .connectionFailed: "destination_unavailable"
        case .connectionTerminated: "connection_terminated"
        case .answerTimeout: "http_response_timeout"
        case .readTimeout: "connection_read_timeout"
        case .writeTimeout: "connection_write_timeout"
        case .answerMalformed: "http_protocol_error"
        case .answerIncomplete: "http_response_incomplete"
        case .upgradeUnexpected: "http_upgrade_failed"
        case .overloaded: "proxy_internal_error"
        case .addressNotPermitted: "destination_ip_prohibited"
        }
    }

    /// The token in the access log: the type of `Proxy-Status`, with hyphens as in all tokens of the log.
    package var token: StaticString {
        switch self {
        case .nameNotResolved: "dns-error"
        case .nameTimeout: "dns-timeout"
        case .connectionRefused: "connection-refused"
        case .connectionTimeout: "connection-timeout"
        case .connectionFailed: "destination-unavailable"
        case .connectionTerminated: "connection-terminated"
        case .answerTimeout: "http-response-timeout"
        case .readTimeout: "connection-read-timeout"
        case .writeTimeout: "connection-write-timeout"
        case .answerMalformed: "http-protocol-error"
        case .answerIncomplete: "http-response-incomplete"
        case .upgradeUnexpected: "http-upgrade-failed"
        case .overloaded: "proxy-internal-error"
        case .addressNotPermitted: "destination-ip-prohibited"
        }
    }
}
