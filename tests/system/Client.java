import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;

/** Connects N times; "plain" closes in the same thread, "async" while another thread is blocked in read. */
public class Client {
    public static void main(String[] args) throws Exception {
        InetAddress address = InetAddress.getByName(args[0]);
        int port = Integer.parseInt(args[1]);
        int n = Integer.parseInt(args[2]);
        for (int i = 0; i < n; i++) {
            Socket socket = new Socket(address, port);
            if (args[3].equals("async")) {
                Thread reader = new Thread(() -> {
                    try (InputStream in = socket.getInputStream()) {
                        in.read();
                    } catch (java.io.IOException closed) {
                        return;
                    }
                });
                reader.start();
                while (reader.getState() != Thread.State.RUNNABLE || !inRead(reader)) {
                    Thread.sleep(1);
                }
                Thread.sleep(20);
                socket.close();
                reader.join();
            } else {
                socket.getOutputStream().write("GET / HTTP/1.1\r\nHost: x\r\n\r\n".getBytes());
                readPage(socket.getInputStream());
                socket.close();
            }
        }
    }

    /** To the end of the page: unread data would make the close a reset. */
    private static void readPage(InputStream in) throws java.io.IOException {
        StringBuilder page = new StringBuilder();
        while (page.indexOf("hello\n") < 0) {
            int c = in.read();
            if (c < 0) {
                System.exit(1);
            }
            page.append((char) c);
        }
    }

    private static boolean inRead(Thread reader) {
        for (StackTraceElement element : reader.getStackTrace()) {
            if (element.getMethodName().contains("read")) {
                return true;
            }
        }
        return false;
    }
}
