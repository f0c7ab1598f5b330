' Tells statweir how many files lie in STAT.BOX. For the management point's Task Scheduler, every 30 seconds
' to one minute:   cscript //nologo statbox.vbs http://STATWEIR:9180/statbox "C:\SMS_CCM\...\outboxes\stat"
' (statweir: throttle.files_push = on, and global.admin on an address that this machine reaches).
Option Explicit
Dim http
If WScript.Arguments.Count <> 2 Then WScript.Echo "usage: statbox.vbs URL FOLDER" : WScript.Quit 64
Set http = CreateObject("MSXML2.ServerXMLHTTP")
http.setTimeouts 2000, 2000, 5000, 5000
http.open "POST", WScript.Arguments(0), False
http.send CStr(CreateObject("Scripting.FileSystemObject").GetFolder(WScript.Arguments(1)).Files.Count)
If http.status <> 200 Then WScript.Echo http.responseText : WScript.Quit 1
