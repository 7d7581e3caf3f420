internal import ChimeraHTTPCore

/// A text that many records share, escaped once for both formats: an endpoint's address, a token.
///
/// Immutable; where it is retained for each request, each worker has its own, as with all that is counted.
package final class AccessText: Sendable {
    /// As it stands between the quotes of a JSON string.
    let json: [UInt8]
    /// As it stands between the quotes of the text format.
    let text: [UInt8]

    package init(_ text: String) {
        json = LineWriter.bytes(forTextOf: text.utf8.count) { line in
            line.put(json: text, max: .max)
        }
        self.text = LineWriter.bytes(forTextOf: text.utf8.count) { line in
            line.put(text: text, max: .max)
        }
    }

    /// The tokens of all refusals.
    static let refusals: [AccessText] = Refusal.allCases.map { AccessText($0.token) }
}

/// Whose request it was, escaped once for both formats: a route has one for each worker.
package final class AccessLabels: Sendable {
    /// `"tenant":"shop","site":"shop.localhost","route":"/api/*",`
    let json: [UInt8]
    /// ` site="shop.localhost" tenant="shop" route="/api/*"`
    let text: [UInt8]

    /// - Parameters:
    ///   - tenant: The tenant's id; empty for a site of the machine's own file, and then left out.
    ///   - site: The site's name; empty for a request that found none, and then left out.
    ///   - route: The route's pattern as it was written; empty where no route was found, and then left out.
    package init(tenant: String, site: String, route: String) {
        let labels: [(StaticString, String)] = [("tenant", tenant), ("site", site), ("route", route)]
        let present = labels.filter { !$0.1.isEmpty }
        let bytes = present.reduce(0) { $0 + $1.1.utf8.count + 16 }
        json = LineWriter.bytes(forTextOf: bytes) { line in
            for (key, value) in present {
                line.put("\"")
                line.put(key)
                line.put("\":\"")
                line.put(json: value, max: .max)
                line.put("\",")
            }
        }
        text = LineWriter.bytes(forTextOf: bytes) { line in
            for (key, value) in present {
                line.put(" ")
                line.put(key)
                line.put("=\"")
                line.put(text: value, max: .max)
                line.put("\"")
            }
        }
    }

    /// For a request that found no site.
    package static let none = AccessLabels(tenant: "", site: "", route: "")
}
