internal import ChimeraConfiguration

/// What a connection knows of the listener that accepted it.
final class ListenerFacts {
    /// The listener's address, by which other workers know it.
    let text: String
    /// The listener's `name=`; nil where it has none.
    @exclusivity(unchecked) private(set) var name: String?
    /// The port to name in redirects; 0 for a Unix socket.
    @exclusivity(unchecked) private(set) var port: UInt16
    /// Connections begin with TLS.
    @exclusivity(unchecked) private(set) var isSecure: Bool
    /// Trusted peers begin with a PROXY header.
    @exclusivity(unchecked) private(set) var hasProxyHeaders: Bool
    /// The session that connections get, which speak no HTTP.
    @exclusivity(unchecked) private(set) var session: SessionAddress?
    /// The listener's number for the dispatcher; another after each change of configuration.
    @exclusivity(unchecked) var id = ListenerID.unnamed

    /// It is that of `metrics ADDRESS`, which answers until the end of a drain.
    var isTelemetry: Bool { name == Site.telemetryListener }

    init(_ listener: BoundListener) {
        text = listener.text
        isSecure = listener.listener.tls
        hasProxyHeaders = listener.listener.hasProxyHeaders
        session = listener.listener.session
        name = Self.name(of: listener.listener)
        port = listener.listener.publicPort ?? listener.port
    }

    /// The line of the same address says something else now.
    func changed(to listener: BoundListener) {
        name = Self.name(of: listener.listener)
        session = listener.listener.session
        port = listener.listener.publicPort ?? listener.port
        isSecure = listener.listener.tls
        hasProxyHeaders = listener.listener.hasProxyHeaders
    }

    /// All listeners of one session have one name, which leads to its site alone.
    private static func name(of listener: Listener) -> String? {
        listener.session.map(SiteDirectory.name(ofSession:)) ?? listener.name
    }
}
