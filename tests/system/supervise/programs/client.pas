{ client ADDRESS PORT N: N connections, one after the other, held until the end. Prints each one's source, or "error ERRNO".
  Free Pascal's run-time library makes its system calls itself: the program knows no libc. }
program client;

uses SysUtils, Sockets;

var
  there, here: TInetSockAddr;
  length: TSockLen;
  fd: longint;
  i: integer;

begin
  FillChar(there, SizeOf(there), 0);
  there.sin_family := AF_INET;
  there.sin_port := htons(StrToInt(ParamStr(2)));
  there.sin_addr := StrToNetAddr(ParamStr(1));
  for i := 1 to StrToInt(ParamStr(3)) do
  begin
    fd := fpSocket(AF_INET, SOCK_STREAM, 0);
    if fpConnect(fd, @there, SizeOf(there)) <> 0 then
      WriteLn('error ', SocketError)
    else
    begin
      length := SizeOf(here);
      fpGetSockName(fd, @here, @length);
      WriteLn(NetAddrToStr(here.sin_addr));
    end;
  end;
end.
