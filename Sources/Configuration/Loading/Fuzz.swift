/// Loads any bytes as the machine's file, as a tenant's file and through the formatter, without a disk: nothing may trap,
/// and a formatted text must stay as it is when it is formatted again.
/// - Returns: false if formatting twice gives another text than formatting once.
package func fuzzConfiguration(_ bytes: Span<UInt8>) -> Bool {
    var content: [UInt8] = []
    content.reserveCapacity(bytes.count)
    for index in bytes.indices { content.append(bytes[index]) }
    var files = MemoryFileSystem(files: [
        "chimera.conf":
            "listen 8080 name=a\nlisten 8081\ndefine shared { header X y }\nimport conf.d/*.conf\n",
        "conf.d/page.html": "<p>page</p>", "conf.d/users": "a:b\n", "page.html": "<p>page</p>",
        "users": "a:b\n",
    ])
    files.add("conf.d/tenant.conf", content)
    files.add("fuzz.conf", content)
    let loader = ConfigurationLoader(fileSystem: files, environment: { $0 == "NAME" ? "value" : nil })
    for machine in ["chimera.conf", "fuzz.conf"] {
        let result = loader.load(machineFile: machine)
        _ = result.diagnostics.rendered.utf8.count + result.diagnostics.json.utf8.count
    }
    guard let text = String(validating: content, as: UTF8.self),
        case .success(let once) = Formatter.format(text)
    else {
        return true
    }
    guard case .success(let twice) = Formatter.format(once) else { return false }
    return once == twice
}
