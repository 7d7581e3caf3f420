// swift-tools-version: 6.2
import PackageDescription

/// One list of settings for every Swift target, so that no module speaks a dialect of its own.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

/// A Swift target: the module carries the prefix, the folder does not.
func module(_ folder: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(
        name: "Chimera" + folder, dependencies: dependencies,
        path: "Sources/" + folder, swiftSettings: settings)
}

func tests(of folder: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: "Chimera\(folder)Tests", dependencies: dependencies + ["ChimeraTestSupport"],
        path: "Tests/\(folder)Tests", swiftSettings: settings)
}

let package = Package(
    name: "chimera",
    products: [
        .library(name: "Chimera", targets: ["Chimera"]),
        // Of no use to others; the fuzz targets, a package of their own, reach it here.
        .library(name: "ChimeraAdministration", targets: ["ChimeraAdministration"]),
        .executable(name: "chimera", targets: ["ChimeraServer"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        // Without the trait that would bring Foundation in.
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    ],
    targets: [
        // C, fenced: what Swift cannot import, and the system libraries.
        .target(name: "CLinux", path: "Sources/CLinux"),
        .systemLibrary(
            name: "CCrypt", path: "Sources/CCrypt", pkgConfig: "libcrypt",
            providers: [.apt(["libcrypt-dev"])]),
        .systemLibrary(
            name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib",
            providers: [.apt(["zlib1g-dev"])]),
        .target(
            name: "COpenSSL", path: "Sources/COpenSSL",
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),

        // A module imports only modules above it in this list.
        module("Bytes", []),
        module("EventLoop", ["CLinux", "ChimeraBytes"]),
        module("HTTPCore", ["ChimeraBytes", "ChimeraEventLoop"]),
        module("HTTP1", ["ChimeraBytes", "ChimeraHTTPCore"]),
        module("HTTP2", ["ChimeraBytes", "ChimeraHTTPCore"]),
        module("WebSocket", ["COpenSSL", "CZlib", "ChimeraBytes", "ChimeraHTTPCore"]),
        module("TLS", ["COpenSSL", "ChimeraBytes", "ChimeraEventLoop"]),
        module("ProxyProtocol", ["ChimeraBytes"]),
        module("Files", ["CLinux", "ChimeraBytes", "ChimeraEventLoop", "ChimeraHTTPCore"]),
        module(
            "Upstream",
            [
                "CLinux", "ChimeraBytes", "ChimeraEventLoop", "ChimeraHTTPCore", "ChimeraHTTP1",
                "ChimeraWebSocket",
            ]),
        module("Administration", ["ChimeraBytes"]),
        module(
            "Sessions",
            [
                "CLinux", "ChimeraAdministration", "ChimeraBytes", "ChimeraEventLoop", "ChimeraHTTPCore",
                "ChimeraWebSocket",
            ]),
        module("Configuration", ["CLinux", "ChimeraBytes", "ChimeraHTTPCore", "ChimeraTLS"]),
        module(
            "Telemetry",
            ["CLinux", "ChimeraBytes", "ChimeraEventLoop", "ChimeraHTTPCore", "ChimeraTLS"]),
        .target(
            name: "Chimera",
            dependencies: [
                "CLinux", "CCrypt", "COpenSSL", "ChimeraBytes", "ChimeraEventLoop", "ChimeraHTTPCore",
                "ChimeraHTTP1", "ChimeraHTTP2", "ChimeraTLS", "ChimeraProxyProtocol", "ChimeraFiles",
                "ChimeraUpstream", "ChimeraWebSocket", "ChimeraSessions",
                "ChimeraConfiguration", "ChimeraTelemetry",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Gateway", swiftSettings: settings),
        .executableTarget(
            name: "ChimeraServer",
            dependencies: [
                "Chimera", "CLinux", "ChimeraAdministration", "ChimeraBytes", "ChimeraConfiguration",
                "ChimeraEventLoop", "ChimeraSessions", "ChimeraTLS", "ChimeraTelemetry", "ChimeraWebSocket",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Server", swiftSettings: settings),

        // What tests of several modules share.
        .target(
            name: "ChimeraTestSupport", dependencies: ["ChimeraEventLoop"], path: "Tests/TestSupport",
            swiftSettings: settings),
        tests(of: "Bytes", ["ChimeraBytes"]),
        tests(of: "EventLoop", ["ChimeraEventLoop", "ChimeraBytes", "CLinux"]),
        tests(of: "HTTPCore", ["ChimeraHTTPCore", "ChimeraBytes"]),
        tests(of: "HTTP1", ["ChimeraHTTP1", "ChimeraHTTPCore", "ChimeraBytes"]),
        tests(of: "HTTP2", ["ChimeraHTTP2", "ChimeraHTTPCore", "ChimeraBytes"]),
        tests(of: "WebSocket", ["ChimeraWebSocket", "ChimeraBytes"]),
        tests(of: "TLS", ["ChimeraTLS", "ChimeraEventLoop", "ChimeraBytes", "COpenSSL"]),
        tests(of: "ProxyProtocol", ["ChimeraProxyProtocol", "ChimeraBytes"]),
        tests(of: "Files", ["ChimeraFiles", "ChimeraEventLoop", "ChimeraHTTPCore", "ChimeraBytes"]),
        tests(
            of: "Upstream",
            [
                "ChimeraUpstream", "ChimeraEventLoop", "ChimeraHTTP1", "ChimeraHTTPCore", "ChimeraBytes",
                "CLinux",
            ]),
        tests(
            of: "Sessions",
            ["ChimeraSessions", "ChimeraWebSocket", "ChimeraEventLoop", "ChimeraHTTPCore", "ChimeraBytes"]),
        tests(
            of: "Configuration", ["ChimeraConfiguration", "ChimeraTLS", "ChimeraBytes", "ChimeraHTTPCore"]),
        tests(
            of: "Telemetry",
            ["ChimeraTelemetry", "ChimeraEventLoop", "ChimeraHTTPCore", "ChimeraTLS", "ChimeraBytes"]),
        tests(
            of: "Server",
            [
                "ChimeraServer", "ChimeraAdministration", "ChimeraConfiguration", "ChimeraEventLoop",
                "ChimeraSessions",
                "ChimeraWebSocket",
            ]),
        // What the fuzz targets of Tests/Fuzz check, on the inputs that are kept there.
        tests(
            of: "Fuzz",
            [
                "ChimeraAdministration", "ChimeraHTTP1", "ChimeraHTTP2", "ChimeraHTTPCore",
                "ChimeraSessions", "ChimeraWebSocket", "ChimeraTLS", "ChimeraProxyProtocol", "ChimeraBytes",
                "ChimeraConfiguration",
            ]),
        tests(
            of: "Gateway",
            [
                "Chimera", "ChimeraHTTPCore", "ChimeraBytes", "ChimeraConfiguration", "ChimeraEventLoop",
                "ChimeraFiles", "ChimeraHTTP2", "ChimeraTelemetry",
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ]),
    ]
)
