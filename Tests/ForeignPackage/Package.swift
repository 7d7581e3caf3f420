// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "greeter",
    dependencies: [
        .package(name: "chimera", path: "../.."),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
    ],
    targets: [
        .executableTarget(
            name: "Greeter",
            dependencies: [
                .product(name: "Chimera", package: "chimera"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ])
    ]
)
