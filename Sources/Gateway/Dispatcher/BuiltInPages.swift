internal import ChimeraBytes
internal import ChimeraHTTPCore

/// The gateway's own error pages, each made when it is first needed.
final class BuiltInPages {
    private struct Key: Hashable {
        let status: Int
        let isJSON: Bool
        let explanation: String
    }

    private var made: [Key: CompiledPage] = [:]

    /// - Parameter refusal: why the request is refused; some reasons have a sentence of their own.
    func page(for status: Int, because refusal: Refusal? = nil, asJSON isJSON: Bool) -> CompiledPage {
        let explanation =
            refusal.flatMap { $0.status == status ? BuiltInPages.explanation(of: $0) : nil }
            ?? BuiltInPages.explanation(of: status)
        let key = Key(status: status, isJSON: isJSON, explanation: explanation)
        if let page = made[key] { return page }
        let page = isJSON ? BuiltInPages.problem(status) : BuiltInPages.html(status, explanation)
        made[key] = page
        return page
    }

    /// RFC 9457 §3. The type is about:blank, so the title is the status's own.
    private static func problem(_ status: Int) -> CompiledPage {
        let text = #"{"type":"about:blank","title":"\#(reason(for: status))","status":\#(status)}"# + "\n"
        return CompiledPage(content: Blob(text), contentType: "application/problem+json")
    }

    private static func html(_ status: Int, _ explanation: String) -> CompiledPage {
        let reason = reason(for: status)
        let text = """
            <!doctype html>
            <html lang="en">
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="robots" content="noindex">
            <title>\(status) \(reason)</title>
            <style>
            :root { color-scheme: light dark }
            body { font: 1rem/1.6 system-ui, sans-serif; display: grid; place-content: center;
              min-height: 90vh; margin: 0 1.5rem; text-align: center }
            b { display: block; font: 200 clamp(4rem, 18vw, 8rem)/1 system-ui, sans-serif;
              letter-spacing: -.04em }
            h1 { font-size: 1.25rem; font-weight: 600; margin: .75rem 0 .25rem }
            p { margin: 0; opacity: .7; max-width: 30rem }
            </style>
            <b aria-hidden="true">\(status)</b>
            <h1>\(reason)</h1>
            <p>\(explanation)</p>
            </html>

            """
        return CompiledPage(content: Blob(text), contentType: MediaTypes.html)
    }

    private static func reason(for status: Int) -> String {
        let phrase = "\(ReasonPhrase.of(status))"
        return phrase.isEmpty ? "Error" : phrase
    }

    private static func explanation(of refusal: Refusal) -> String? {
        switch refusal {
        case .siteMismatched: "This connection was made for another site of this server. Please try again."
        case .schemeMismatched: "This address is not to be reached by this kind of connection."
        case .clientCertificateMissing: "This is open to those with a certificate alone."
        case .originForeign: "This is not open to pages of other sites."
        default: nil
        }
    }

    /// One sentence for the person in front of the browser.
    private static func explanation(of status: Int) -> String {
        switch status {
        case 400: "The server could not understand this request."
        case 401: "A name and a password are needed to see this."
        case 403: "This is not open to you."
        case 404: "There is nothing at this address."
        case 405: "This address does not take such a request."
        case 408: "The request took too long to arrive."
        case 413: "What was sent is larger than this address takes."
        case 414: "The address is too long."
        case 421: "This server does not serve that host."
        case 429: "There were too many requests. Please wait a moment."
        case 431: "The request carries more header fields than the server takes."
        case 500: "Something went wrong on the server."
        case 502: "The application behind this server gave no usable answer."
        case 503: "This is not available at the moment. Please try again soon."
        case 504: "The application behind this server took too long to answer."
        case 400..<500: "The request cannot be served as it is."
        default: "The server cannot serve this request."
        }
    }
}
