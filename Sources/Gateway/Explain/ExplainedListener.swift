internal import ChimeraConfiguration

/// The listener that a request as somebody describes it comes in by.
struct ExplainedListener {
    /// Nil where none fits.
    let source: Listener?
    /// The port that the client asks.
    private let askedPort: UInt16
    /// The client speaks TLS.
    let isSecure: Bool

    init(_ asked: ExplainedRequest, in configuration: MachineConfiguration) {
        let port = asked.port
        let isSecure = asked.scheme == "https"
        let fitting = configuration.listeners.filter { listener in
            guard listener.name == asked.listener else { return false }
            if case .unix = listener.address { return asked.listener != nil }
            return listener.publicPort == port || listener.address.port == port
        }
        // What maps a port to another one stands in front of what has that port itself.
        source =
            fitting.first { $0.tls == isSecure && $0.publicPort == port }
            ?? fitting.first { $0.tls == isSecure } ?? fitting.first
        askedPort = port
        self.isSecure = isSecure
    }

    /// The port to name in redirects.
    var redirectPort: UInt16 {
        guard let source else { return askedPort }
        if case .unix = source.address { return source.publicPort ?? 0 }
        return source.publicPort ?? askedPort
    }

    /// What comes of a client that speaks TLS where it is not expected, or the other way round; nil where it is right.
    var mismatch: String? {
        guard let source, source.tls != isSecure else { return nil }
        if case .unix = source.address { return nil }
        return isSecure
            ? "none: this listener is without `tls`"
            : "400: this listener has `tls`, and the request comes without"
    }

    var text: String {
        guard let source else { return "none listens on port \(askedPort)" }
        let protocolName = source.tls ? " with TLS" : ""
        let mapped = source.publicPort.map { ", known to clients as port \($0)" } ?? ""
        return "\(source.address.text)\(protocolName) (\(source.position))\(mapped)"
    }
}

extension MachineConfiguration {
    /// The port of the listener with TLS that leads to a site with these names of listeners; nil where there is none.
    func securePort(on names: [String]) -> UInt16? {
        let found = listeners.first { listener in
            guard listener.tls, listener.publicPort ?? listener.address.port != 0 else { return false }
            return names.isEmpty ? listener.name == nil : listener.name.map(names.contains) ?? false
        }
        return found.map { $0.publicPort ?? $0.address.port }
    }
}
