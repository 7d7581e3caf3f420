/// The first octets of a file that is to be executed.
package struct ScriptBeginning {
    private let bytes: [UInt8]

    /// - Parameter bytes: as many as there are, up to `octetsMax`.
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// As many as the kernel looks at.
    static let octetsMax = 256

    /// Why the kernel would not execute a file of this machine; nil where it may, or where nothing is known of it.
    package static func fault(ofFile path: String) -> String? {
        let disk = SystemFileSystem()
        return disk.beginning(of: path).flatMap { ScriptBeginning($0).fault { disk.kind(of: $0) == .file } }
    }

    /// Why the kernel would not execute it; nil where it may.
    ///
    /// - Parameter isThere: whether there is a file at a path.
    func fault(isThere: (String) -> Bool) -> String? {
        guard !bytes.isEmpty else { return "the file is empty" }
        guard bytes.starts(with: Array("#!".utf8)) else {
            // What is not text may be of a kind that this machine was taught (binfmt_misc).
            guard bytes.allSatisfy({ ($0 >= 0x20 && $0 != 0x7F) || (0x09...0x0D).contains($0) }) else {
                return nil
            }
            return "it is text, and its first line does not say what runs it, such as `#!/bin/sh`"
        }
        let line = bytes.dropFirst(2).prefix { $0 != UInt8(ascii: "\n") }
        let words = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        guard let first = words.first else { return "its first line names nothing behind `#!`" }
        if line.last == UInt8(ascii: "\r") {
            return
                "its first line ends with a carriage return, as lines of Windows do, which counts as a part of the name"
        }
        let interpreter = String(decoding: first, as: UTF8.self)
        // A name that was cut off, or counts from wherever it will run.
        guard interpreter.hasPrefix("/"), first.endIndex < bytes.count || bytes.count < Self.octetsMax else {
            return nil
        }
        return isThere(interpreter) ? nil : "there is no \(interpreter), which its first line says runs it"
    }
}
