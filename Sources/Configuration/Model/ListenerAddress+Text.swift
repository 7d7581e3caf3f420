internal import ChimeraBytes

extension Listener.Address {
    /// 0 where the line asks for any, and for a Unix socket.
    package var port: UInt16 {
        switch self {
        case .anyAddress(let port), .ip(_, let port): port
        case .unix: 0
        }
    }

    /// As it is written in a configuration: `80`, `127.0.0.1:80`, `[::1]:80`, `unix:/path`.
    package var text: String {
        switch self {
        case .anyAddress(let port): "\(port)"
        case .ip(let ip, let port): ip.isV4 ? "\(ip):\(port)" : "[\(ip)]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// The address that `text` gives; nil for any other text.
    package init?(text: String) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard path.hasPrefix("/"), !path.utf8.contains(0) else { return nil }
            self = .unix(path: path)
        } else if let port = UInt16(text) {
            self = .anyAddress(port: port)
        } else {
            guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
            else {
                return nil
            }
            let host = text[..<colon]
            let bare =
                host.hasPrefix("[") && host.hasSuffix("]")
                ? String(host.dropFirst().dropLast()) : String(host)
            guard let ip = IPAddress(bare) else { return nil }
            self = .ip(ip, port: port)
        }
    }
}
