// swift-tools-version: 6.2
import PackageDescription

/// Each target is a property under libFuzzer: `make fuzz` builds and runs them, see README.md here.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

/// A property's executable: the product has the corpus's name, the folder is below Targets.
func target(_ folder: String) -> Target {
    .executableTarget(
        name: "Fuzz" + folder, dependencies: ["FuzzProperties"], path: "Targets/" + folder,
        swiftSettings: settings)
}

let package = Package(
    name: "fuzz",
    products: [
        .executable(name: "http1-request", targets: ["FuzzRequest"]),
        .executable(name: "http1-response", targets: ["FuzzResponse"]),
        .executable(name: "http1-chunked", targets: ["FuzzChunked"]),
        .executable(name: "websocket-frames", targets: ["FuzzWebSocket"]),
        .executable(name: "websocket-messages", targets: ["FuzzWebSocketMessages"]),
        .executable(name: "proxy-header", targets: ["FuzzProxyHeader"]),
        .executable(name: "certificate", targets: ["FuzzCertificate"]),
        .executable(name: "path", targets: ["FuzzPath"]),
        .executable(name: "configuration", targets: ["FuzzConfiguration"]),
        .executable(name: "http2-connection", targets: ["FuzzHTTP2Connection"]),
        .executable(name: "http2-answers", targets: ["FuzzHTTP2Answers"]),
        .executable(name: "hpack", targets: ["FuzzHPACK"]),
        .executable(name: "administration", targets: ["FuzzAdministration"]),
        .executable(name: "tagged-streams", targets: ["FuzzTaggedStreams"]),
    ],
    dependencies: [.package(name: "chimera", path: "../..")],
    targets: [
        .target(
            name: "FuzzProperties",
            dependencies: [
                .product(name: "Chimera", package: "chimera"),
                .product(name: "ChimeraAdministration", package: "chimera"),
            ],
            path: "Properties",
            swiftSettings: settings),
        target("Request"),
        target("Response"),
        target("Chunked"),
        target("WebSocket"),
        target("WebSocketMessages"),
        target("ProxyHeader"),
        target("Certificate"),
        target("Path"),
        target("Configuration"),
        target("HTTP2Connection"),
        target("HTTP2Answers"),
        target("HPACK"),
        target("Administration"),
        target("TaggedStreams"),
    ]
)
