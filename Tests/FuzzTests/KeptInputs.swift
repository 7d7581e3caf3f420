import Glibc
import Testing

/// The folder `Tests/Fuzz`.
private let folder = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Fuzz"

/// One file of `Corpus` or `Regressions`.
struct KeptInput: Sendable, CustomTestStringConvertible {
    var property: Property
    /// From `Tests/Fuzz`.
    var path: String
    var bytes: [UInt8]

    var testDescription: String { path }

    /// All files of the kind for this property, in the order of their names.
    static func all(_ kind: String, of property: Property) -> [KeptInput] {
        let path = kind + "/" + property.rawValue
        return names(folder + "/" + path).map { name in
            KeptInput(
                property: property, path: path + "/" + name, bytes: content(folder + "/" + path + "/" + name))
        }
    }

    /// The subfolders of `Corpus` or `Regressions`.
    static func folders(_ kind: String) -> [String] { names(folder + "/" + kind) }

    private static func names(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    private static func content(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = getc(file), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        return bytes
    }
}
