internal import ChimeraBytes
internal import ChimeraConfiguration

/// Where a route leads, with what one worker needs to go there.
///
/// The destinations are an enum and not an existential, so that a request boxes nothing on its way.
enum RouteTarget {
    case redirect(RedirectTarget)
    case respond(RespondTarget)
    case files(DirectoryTarget)
    case proxy(UpstreamTargets)
    /// The sample page.
    case welcome
}

/// Makes what routes lead to, one instance for each worker and each distinct target: routes that name the same target
/// share its connections and caches.
protocol TargetFactory: AnyObject {
    /// - Parameter sourceExtensions: in small letters, without their dot: never served, whatever the case.
    func files(_ target: FilesTarget, sourceExtensions: [String]) -> DirectoryTarget
    func proxy(_ target: ProxyTarget) -> UpstreamTargets
    func passwords(_ file: ReferencedFile) -> PasswordGuard
}

/// `redirect URL [STATUS]`.
final class RedirectTarget {
    let location: CompiledTemplate
    let status: Int

    init(_ location: Template, status: Int) {
        self.location = CompiledTemplate(location, for: .redirect)
        self.status = status
    }
}

/// `respond STATUS [BODY]`.
final class RespondTarget {
    enum Body {
        case none
        case fixed(Blob)
        case template(CompiledTemplate)
    }

    let status: Int
    let body: Body
    let contentType: StaticString

    init(status: Int, body: RespondBody) {
        self.status = status
        switch body {
        case .none: (self.body, contentType) = (.none, MediaType.text)
        case .text(let template):
            contentType = MediaType.text
            if let text = template.literal {
                self.body = .fixed(Blob(text))
            } else {
                self.body = .template(CompiledTemplate(template, for: .text))
            }
        case .file(let file):
            (self.body, contentType) = (.fixed(Blob(file.content.span)), MediaType.ofFile(file.path))
        }
    }
}

/// The types of the few files that a configuration names as whole answers.
enum MediaType {
    static var text: StaticString { "text/plain; charset=utf-8" }
    static var html: StaticString { "text/html; charset=utf-8" }

    /// The type by the ending of a path.
    static func ofFile(_ path: String) -> StaticString {
        let name = path.split(separator: "/").last ?? ""
        guard let dot = name.lastIndex(of: ".") else { return text }
        return switch name[name.index(after: dot)...].lowercased() {
        case "html", "htm": html
        case "txt", "text", "md", "log": text
        case "json": "application/json"
        case "xml": "application/xml"
        case "svg": "image/svg+xml"
        case "css": "text/css; charset=utf-8"
        case "js", "mjs": "text/javascript; charset=utf-8"
        case "png": "image/png"
        case "ico": "image/x-icon"
        case "pdf": "application/pdf"
        default: "application/octet-stream"
        }
    }
}
