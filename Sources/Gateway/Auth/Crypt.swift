internal import CCrypt
internal import Glibc

/// The fence around libcrypt, whose `crypt_r` hashes by bcrypt and SHA-crypt.
enum Crypt {
    /// Hashes `password` by the method and salt of `setting`, which may be a whole hash. It takes as long as
    /// the setting asks.
    ///
    /// - Returns: the whole hash; nil where libcrypt refuses the setting, or the password holds a NUL, at
    ///   which it would be cut.
    static func hash(password: Span<UInt8>, setting: Span<UInt8>) -> [UInt8]? {
        guard !contains(0, password), !contains(0, setting) else { return nil }
        var password = cString(password)
        let setting = cString(setting)
        let data = UnsafeMutablePointer<crypt_data>.allocate(capacity: 1)
        memset(data, 0, MemoryLayout<crypt_data>.size)
        defer {
            // What is left in there tells the password.
            explicit_bzero(data, MemoryLayout<crypt_data>.size)
            data.deallocate()
            explicit_bzero(&password, password.count)
        }
        // A failure is a null pointer, or a text that begins with an asterisk.
        guard let output = crypt_r(password, setting, data), output.pointee != CChar(UInt8(ascii: "*")) else {
            return nil
        }
        return Array(UnsafeRawBufferPointer(start: output, count: strlen(output)))
    }

    private static func contains(_ byte: UInt8, _ bytes: Span<UInt8>) -> Bool {
        for index in 0..<bytes.count where bytes[index] == byte { return true }
        return false
    }

    private static func cString(_ bytes: Span<UInt8>) -> [CChar] {
        bytes.withUnsafeBufferPointer { $0.map(CChar.init(bitPattern:)) + [0] }
    }
}
