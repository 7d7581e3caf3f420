internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

/// Where a route leads, with what one worker needs to go there.
///
/// The destinations are an enum of objects and not an existential: a request boxes nothing on its way, and whoever
/// looks at a route counts one reference.
enum RouteTarget {
    case redirect(RedirectTarget)
    case respond(RespondTarget)
    case files(DirectoryTarget)
    case proxy(UpstreamTargets)
    /// The sample page.
    case welcome
    case session(SessionDestination)
    /// What the gateway tells of itself.
    case telemetry(TelemetryTarget)
    case handler(HandlerTarget)
}

/// One of the pages of `metrics ADDRESS`.
final class TelemetryTarget {
    let page: TelemetryPage

    init(_ page: TelemetryPage) {
        self.page = page
    }
}

/// The handler of the program that embeds the gateway.
final class HandlerTarget {
    let handler: any Handler

    init(_ handler: any Handler) {
        self.handler = handler
    }
}

/// Makes what routes lead to, one instance for each worker and each distinct target: routes that name the
/// same target share its connections and caches.
protocol TargetFactory: AnyObject {
    /// - Parameter sourceExtensions: in small letters, without their dot: never served, whatever the case.
    func files(_ target: FilesTarget, sourceExtensions: [String]) -> DirectoryTarget
    func proxy(_ target: ProxyTarget) -> UpstreamTargets
    /// Where the site's routes are counted, in their order; the last is for requests that no route serves.
    func routeSlots(of site: Site) -> [RouteSlot]
}

extension TargetFactory {
    func routeSlots(of site: Site) -> [RouteSlot] { [] }
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
        case .none: (self.body, contentType) = (.none, MediaTypes.text)
        case .text(let template):
            contentType = MediaTypes.text
            if let text = template.literal {
                self.body = .fixed(Blob(text))
            } else {
                self.body = .template(CompiledTemplate(template, for: .text))
            }
        case .file(let file):
            (self.body, contentType) = (
                .fixed(Blob(file.content.span)), MediaTypes.type(ofPath: Array(file.path.utf8).span)
            )
        }
    }
}

extension MediaTypes {
    static var text: StaticString { "text/plain; charset=utf-8" }
    static var html: StaticString { "text/html; charset=utf-8" }
}
